import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessToken, Wire } from '@millrace/contracts';
import { accessTokens } from './credentials.ts';

test('two requests that are refused with the same old token fetch one new token', async () => {
  let fetched = 0;
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  const credentials = accessTokens(async () => ({ accessToken: `token ${++fetched}`, expiresAt }) as Wire<AccessToken>);
  const old = await credentials.token();
  assert.equal(credentials.refused(old), true);
  assert.equal(await credentials.token(), 'token 2');
  assert.equal(credentials.refused(old), true, 'the next token is another one');
  assert.equal(await credentials.token(), 'token 2');
  credentials.refused();
  assert.equal(await credentials.token(), 'token 3');
});

test('by a clock that is ahead, a token is used until the server refuses it', async ({ mock }) => {
  mock.timers.enable({ apis: ['Date'], now: 3_600_000 });
  let fetched = 0;
  const credentials = accessTokens(async () => ({ accessToken: `token-${++fetched}`, expiresAt: new Date(900_000).toISOString() }));
  assert.deepEqual([await credentials.token(), await credentials.token(), credentials.renewAt], ['token-1', 'token-1', null]);
  assert.equal(credentials.refused('token-1'), true);
  assert.equal(await credentials.token(), 'token-2');
});
