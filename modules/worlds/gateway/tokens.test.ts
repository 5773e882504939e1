import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { playerTokens } from './tokens.ts';
import { decodeBody, encodeFrame } from './wire.ts';

describe('a valid token of a player', () => {
  const tokens = playerTokens(new TextEncoder().encode('a secret for tests that is long enough'));
  const holderOf = async (player: string, name = 'Kim') => tokens.verify(await tokens.issue({ player, name, user: null }));

  test('gives the player its name, up to 24 characters, and never half a character', async () => {
    for (const [given, name] of [
      ['Kim', 'Kim'],
      [`K${'🦊'.repeat(23)}`, `K${'🦊'.repeat(23)}`],
      [`K${'🦊'.repeat(40)}`, `K${'🦊'.repeat(23)}`],
      ['K\ud83d', 'K\ufffd'],
      ['K\0im', 'Kim'],
    ] as const) {
      const holder = await holderOf('p-kim', given);
      assert.equal(holder?.name, name);
      const sent = encodeFrame({ t: 'notice', e: 1, kind: 'said', from: holder.name, at: 1 });
      assert.equal((decodeBody(sent.subarray(4)) as { from?: string } | undefined)?.from, name, 'other clients cannot read it');
    }
  });

  test('is refused for the id that is a member of every JavaScript object', async () => {
    assert.equal((await holderOf('p-kim'))?.player, 'p-kim');
    assert.equal(await holderOf('constructor'), null);
    assert.equal(await holderOf('P-KIM'), null);
  });
});
