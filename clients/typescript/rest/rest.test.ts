import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '../client.ts';
import { accessTokens, apiKey, signIn } from './credentials.ts';

const refusal = { code: 'INVALID_TOKEN', detail: '', remedy: '', status: 401 };

/** A server that refuses every credential, and those that it got. */
function refusing() {
  const sent: (string | null)[] = [];
  const fetch: typeof globalThis.fetch = async (_address, init) => {
    sent.push(new Headers(init?.headers).get('authorization'));
    return Response.json(refusal, { status: 401 });
  };
  return { sent, fetch };
}

test('a refused API key is sent once: each refusal counts towards a lockout', async () => {
  const { sent, fetch } = refusing();
  const client = createClient({ url: 'http://server', credentials: apiKey('mill_old'), fetch });
  await assert.rejects(client.listSources(), { code: 'INVALID_TOKEN' });
  assert.deepEqual(sent, ['Bearer mill_old']);
});

test('a refused access token is replaced once', async ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { sent, fetch } = refusing();
  let tokens = 0;
  const credentials = accessTokens(async () => ({
    accessToken: `token-${++tokens}`,
    expiresAt: new Date(Date.now() + 600_000).toISOString(),
    tokenType: 'Bearer' as const,
  }));
  const refused = assert.rejects(createClient({ url: 'http://server', credentials, fetch }).listSources(), { code: 'INVALID_TOKEN' });
  while (sent.length < 1) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  mock.timers.tick(10_000);
  await refused;
  assert.deepEqual(sent, ['Bearer token-1', 'Bearer token-2']);
});

test('an id of dots is refused: its URL is that of another operation', async () => {
  const { sent, fetch } = refusing();
  const client = createClient({ url: 'http://server', fetch });
  // The URL would be that of the announcement to all zones.
  await assert.rejects(client.createZoneAnnouncement({ zone: '..', text: 'x' }), /"\.\." is not a valid zone/);
  assert.deepEqual(sent, []);
});

test('the URL of the server may end in a slash', async (context) => {
  const addresses: string[] = [];
  const fetch: typeof globalThis.fetch = async (address) => {
    addresses.push(String(address));
    return Response.json({ code: 'FORBIDDEN', detail: '', remedy: '', status: 403 }, { status: 403 });
  };
  await assert.rejects(createClient({ url: 'http://server/', fetch }).listSources(), { code: 'FORBIDDEN' });
  const closed = Promise.withResolvers<void>();
  createClient({ url: 'http://server/', fetch, transport: 'sse' }).watch(['tickers'], () => {}, { onError: () => closed.resolve() });
  await closed.promise;
  context.mock.method(globalThis, 'fetch', fetch);
  await assert.rejects(signIn('http://server/', 'kim@example.com', 'a password').token(), { code: 'FORBIDDEN' });
  assert.deepEqual(addresses, [
    'http://server/api/v1/sources',
    'http://server/api/v1/stream?channels=tickers',
    'http://server/api/v1/auth/sign-in',
  ]);
});
