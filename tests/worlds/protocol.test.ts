import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CLIENT_FRAMES, DISCONNECT_REASONS, REFUSALS, SERVER_FRAMES } from '@millrace/contracts';
import { Packr, unpack } from 'msgpackr';
import { Value } from 'typebox/value';

/*
 * Others write clients from docs/protocols/world.md: its bytes, frames and codes must be those of the server.
 */

// The formatter pads tables.
const PAGE = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'protocols', 'world.md'), 'utf8').replaceAll(/ +\|/g, ' |');
const packr = new Packr({ useRecords: false, variableMapSize: true });
const EXAMPLES = [...PAGE.matchAll(/```frame\n(.+)\n([0-9a-f \n]+)\n```/g)].map(([, json = '', hex = '']) => ({
  frame: JSON.parse(json) as { t: string },
  bytes: Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'),
}));

describe('the page of the protocol', () => {
  test('shows the bytes of every frame, except those explained in words', () => {
    const shown = new Set(EXAMPLES.map(({ frame }) => frame.t));
    const all = [...Object.keys(CLIENT_FRAMES), ...Object.keys(SERVER_FRAMES)];
    assert.deepEqual(
      all.filter((t) => !shown.has(t)),
      ['zone', 'you'],
    );
    assert.match(PAGE, /`zone` frame/);
    assert.match(PAGE, /"t":"you"/);
  });

  for (const { frame, bytes } of EXAMPLES)
    test(`${JSON.stringify(frame)} has these bytes`, () => {
      assert.equal(bytes.readUInt32BE(0), bytes.length - 4);
      assert.deepEqual(unpack(bytes.subarray(4)), frame);
      assert.deepEqual(packr.pack(frame), bytes.subarray(4));
      const schemas = [CLIENT_FRAMES[frame.t as keyof typeof CLIENT_FRAMES], SERVER_FRAMES[frame.t as keyof typeof SERVER_FRAMES]];
      assert.ok(
        schemas.some((schema) => schema && Value.Check(schema, frame)),
        'no schema takes it',
      );
    });

  test('lists every code', () => {
    for (const [code, { violation, description }] of Object.entries(REFUSALS))
      assert.ok(PAGE.includes(`| \`${code}\`${violation ? ' *' : ''} | ${description} |`), code);
    for (const [code, description] of Object.entries(DISCONNECT_REASONS))
      assert.ok(PAGE.includes(`| \`${code}\` | ${description} |`), code);
  });
});
