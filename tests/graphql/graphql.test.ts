import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { on, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccessToken, Account, Instrument, Page } from '@millrace/contracts';
import { type ExecutionResult, getIntrospectionQuery } from 'graphql';
import { serverAudits } from 'graphql-http';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWebSocketClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { type Guarded, startGuarded, type Visitor } from '../accounts/visitor.ts';
import { WITHOUT_WORLD } from '../server.ts';

interface Answer {
  readonly data?: Record<string, never> | null;
  readonly errors?: readonly { message: string; extensions?: { code?: string } }[];
}

/** Results of one operation of a GraphQL WebSocket client. */
async function overWebSocket(
  address: string,
  headers: Record<string, string>,
  payload: object,
): Promise<{ type: string; payload: unknown }> {
  const socket = new WebSocket(address.replace('http', 'ws'), 'graphql-transport-ws', { headers });
  const messages = on(socket, 'message');
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init' }));
  await messages.next();
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }));
  const { value } = await messages.next();
  socket.terminate();
  return JSON.parse(String(value?.[0]));
}

describe('GraphQL', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-graphql-'));
  let guarded: Guarded;
  let viewer: Visitor;
  let key: string;
  let url: string;
  before(async () => {
    guarded = await startGuarded(folder);
    url = `${guarded.server.url}/api/v1/graphql`;
    viewer = await guarded.member('viewer');
    ({ key } = await guarded.owner.key('graphql', ['market:read', 'platform:read', 'account:read']));
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const query = async (visitor: Visitor, text: string, variables?: object): Promise<Answer> =>
    (await (await visitor.ask('POST', '/api/v1/graphql', { query: text, variables })).json()) as Answer;
  const codeOf = ({ errors }: Answer) => errors?.[0]?.extensions?.code;
  const simulator = 'simulator:BTC-USDT';

  test('passes all audits of GraphQL over HTTP', async () => {
    const fetchFn = (input: string, init: RequestInit = {}) => fetch(input, { ...init, headers: { ...init.headers, 'x-api-key': key } });
    for (const audit of serverAudits({ url: () => url, fetchFn })) {
      const result = await audit.fn();
      assert.equal(result.status, 'ok', `${audit.name}: ${'reason' in result ? result.reason : ''}`);
    }
  });

  test('returns the resources of the HTTP API and their relations', async () => {
    const { data, errors } = await query(
      viewer,
      `query ($limit: SafeInt) { instruments { data { id status } } instrument(id: "${simulator}") { price getQuote { bid } candles(interval: "1m", limit: $limit) { columns rows } } }`,
      { limit: 3 },
    );
    assert.equal(errors, undefined);
    const listed = await viewer.get<Instrument[]>('GET', '/instruments');
    assert.deepEqual(
      (data as never as { instruments: Page<Instrument> }).instruments.data.map(({ id }) => id),
      listed.map(({ id }) => id),
    );
    const { instrument } = data as never as { instrument: { getQuote: { bid: string }; candles: { columns: string[]; rows: number[][] } } };
    assert.match(instrument.getQuote.bid, /^\d+(\.\d+)?$/);
    assert.deepEqual(instrument.candles.columns, ['time', 'open', 'high', 'low', 'close', 'volume']);
    assert.ok(instrument.candles.rows.length <= 3);
  });

  test('enforces the access of the routes behind it, and returns the other fields', async () => {
    const text = `{ sources { data { id } } instruments { data { id } } }`;
    const nobody = await query(guarded.visitor(), text);
    assert.deepEqual([nobody.data, codeOf(nobody)], [{ sources: null, instruments: null }, 'UNAUTHENTICATED']);
    const some = await query(viewer, text);
    assert.equal(codeOf(some), 'FORBIDDEN');
    assert.ok((some.data as never as { instruments: Page<unknown> }).instruments.data.length > 0);
    assert.equal(codeOf(await query(viewer, `mutation { pauseSource(id: "simulator") { id } }`)), 'FORBIDDEN');
    assert.equal(codeOf(await query(viewer, `{ instrument(id: "../sources") { id } }`)), 'UNKNOWN_INSTRUMENT');
    const paused = await query(guarded.owner, `mutation { pauseSource(id: "simulator") { state } }`);
    assert.deepEqual(paused.data, { pauseSource: { state: 'paused' } });
    await query(guarded.owner, `mutation { resumeSource(id: "simulator") { state } }`);
  });

  test('refuses changes by pages of other sites, and by GET', async () => {
    const foreign = await guarded.owner.refusal('POST', '/graphql', { query: '{ __typename }' }, { origin: 'https://evil.example' });
    assert.equal(foreign, 'ORIGIN_NOT_ALLOWED');
    const text = encodeURIComponent('mutation { pauseSource(id: "simulator") { state } }');
    assert.equal((await guarded.owner.ask('GET', `/api/v1/graphql?query=${text}`)).status, 405);
  });

  test('refuses expensive queries before any lookup', async () => {
    const many = Array.from({ length: 11 }, (_, index) => `a${index}: instruments { data { id } }`).join(' ');
    const deep = `{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }`;
    const long = `{ ${'__typename '.repeat(2_001)} }`;
    const rows = `query ($limit: SafeInt) { instruments { data { candles(limit: $limit) { rows } } } }`;
    const circle = `{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }`;
    assert.equal(codeOf(await query(viewer, `{ ${many} }`)), 'QUERY_TOO_LARGE');
    assert.equal(codeOf(await query(viewer, rows, { limit: 20_000 })), 'QUERY_TOO_LARGE');
    for (const text of [deep, long, circle]) {
      const { data, errors } = await query(viewer, text);
      assert.equal(data ?? null, null);
      assert.ok(errors && errors.length > 0);
    }
    assert.equal((await query(viewer, rows, { limit: 10 })).errors, undefined);
    assert.equal((await query(viewer, getIntrospectionQuery())).errors, undefined);
  });

  test('fault 24: requests of one connection leave no listeners on its socket', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let count = 0; count < 15; count++) {
      const asked = request(url, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }).end(
        '{"query":"{ __typename }"}',
      );
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      response.resume();
      await once(response, 'end');
    }
    agent.destroy();
    assert.doesNotMatch(guarded.server.errors(), /MaxListenersExceededWarning/);
  });

  test('accepts a persisted query by its hash after its text', async () => {
    const text = `{ instruments { data { id } } }`;
    const extensions = { persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(text).digest('hex') } };
    const ask = async (body: object) => (await (await viewer.ask('POST', '/api/v1/graphql', body)).json()) as Answer;
    assert.match((await ask({ extensions })).errors?.[0]?.message ?? '', /PersistedQueryNotFound/);
    assert.ok((await ask({ query: text, extensions })).data);
    assert.ok((await ask({ extensions })).data);
    const wrong = { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } };
    assert.ok((await ask({ query: text, extensions: wrong })).errors);
  });

  test('fault 18: fragments with exponential spreads are refused on every transport before validation', async () => {
    // Also invalid: the first error shows which check ran first.
    const fragments = Array.from({ length: 40 }, (_, index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} nothing }`);
    const text = `{ ...F0 } ${fragments.join(' ')} fragment F40 on Query { instruments { data { id } } }`;
    const sha256Hash = createHash('sha256').update(text).digest('hex');
    const extensions = { persistedQuery: { version: 1, sha256Hash } };
    const json = { 'content-type': 'application/json' };
    const requests: Record<string, () => Promise<Response>> = {
      'query in GET': () => fetch(`${url}?query=${encodeURIComponent(text)}`, { headers: { 'sec-fetch-site': 'cross-site' } }),
      'query in POST': () => fetch(url, { method: 'POST', headers: json, body: JSON.stringify({ query: text, extensions }) }),
      'persisted query': () => fetch(url, { method: 'POST', headers: json, body: JSON.stringify({ extensions }) }),
      'graphql-sse': () =>
        fetch(url, { method: 'POST', headers: { ...json, accept: 'text/event-stream' }, body: JSON.stringify({ query: text }) }),
    };
    for (const [name, request] of Object.entries(requests)) assert.match(await (await request()).text(), /QUERY_TOO_LARGE/, name);
    assert.match(JSON.stringify(await overWebSocket(url, {}, { query: text })), /"error".*QUERY_TOO_LARGE/);
  });

  test('fault 18: long documents are not parsed, and variables with NUL characters are refused', async () => {
    const long = `{ __typename } #${'x'.repeat(40_000)}`;
    assert.equal(codeOf(await query(guarded.visitor(), long)), 'QUERY_TOO_LARGE');
    assert.match(JSON.stringify(await overWebSocket(url, {}, { query: long })), /"error".*QUERY_TOO_LARGE/);
    const text = 'query ($a: JSON) { __typename }';
    const deep = JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`) as unknown;
    assert.equal(codeOf(await query(guarded.visitor(), text, { a: deep })), 'BAD_REQUEST');
    assert.equal(codeOf(await query(guarded.visitor(), text, { a: 'a\0b' })), 'BAD_REQUEST');
    assert.match(JSON.stringify(await overWebSocket(url, {}, { query: text, variables: { a: deep } })), /"error".*BAD_REQUEST/);
  });

  /** The first results of an operation, by the subscribe function of a client. */
  function first(
    count: number,
    subscribe: (sink: { next(result: ExecutionResult): void; error(error: unknown): void; complete(): void }) => () => void,
  ): Promise<ExecutionResult[]> {
    const results: ExecutionResult[] = [];
    return new Promise((resolve, reject) => {
      const stop = subscribe({
        next: (result) => {
          results.push(result);
          if (results.length < count) return;
          stop();
          resolve(results);
        },
        error: reject,
        complete: () => (results.length < count ? reject(new Error(`it ended after ${results.length}`)) : resolve(results)),
      });
    });
  }

  test('streams to the client graphql-sse, resumable', async () => {
    const client = createSseClient({ url, headers: { 'x-api-key': key }, retryAttempts: 0 });
    const text = `subscription ($from: String) { trades(instrument: "${simulator}", from: $from) { position event data { price } gap { reason } } }`;
    const subscribed = (variables: Record<string, unknown>) =>
      first(3, (sink) => client.subscribe({ query: text, variables }, sink as never));
    const [one, two] = (await subscribed({})).map(({ data }) => data?.trades as { position: string; data: { price: string } });
    assert.match(one?.data.price ?? '', /^\d/);
    const [again] = (await subscribed({ from: one?.position })).map(({ data }) => data?.trades as { position: string });
    assert.equal(again?.position, two?.position);
    client.dispose();
  });

  test('streams to the client graphql-ws, with an access token in connection_init', async () => {
    const { accessToken } = await viewer.get<AccessToken>('POST', '/auth/token');
    const client = createWebSocketClient({
      url: url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${accessToken}` },
      retryAttempts: 0,
    });
    const [event] = await first(1, (sink) =>
      client.subscribe({ query: `subscription { events(channels: ["tickers", "user"]) { channel event data } }` }, sink as never),
    );
    assert.equal(event?.errors, undefined);
    const answer = await first(1, (sink) => client.subscribe({ query: '{ account { role } sources { data { id } } }' }, sink as never));
    assert.deepEqual(answer[0]?.data, { account: { role: 'viewer' }, sources: null });
    const refused = await first(1, (sink) => client.subscribe({ query: 'subscription { sources { data { id } } }' }, sink as never)).catch(
      (error) => error,
    );
    assert.match(JSON.stringify(refused), /FORBIDDEN/);
    await client.dispose();
  });

  test('ends a WebSocket with the reason when its user is disabled', async () => {
    const member = await guarded.member('viewer');
    const { user } = await member.get<Account>('GET', '/account');
    const { accessToken } = await member.get<AccessToken>('POST', '/auth/token');
    const { promise: closed, resolve: onClosed } = Promise.withResolvers<{ code: number; reason: string }>();
    const client = createWebSocketClient({
      url: url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${accessToken}` },
      retryAttempts: 0,
      on: { closed: (event) => onClosed(event as never) },
    });
    const { promise: heard, resolve: onHeard } = Promise.withResolvers<void>();
    client.subscribe(
      { query: 'subscription { events(channels: ["tickers"]) { event } }' },
      { next: () => onHeard(), error: () => {}, complete: () => {} },
    );
    await heard;
    await guarded.owner.get('PATCH', `/tenants/main/users/${user}`, { disabled: true });
    const { code, reason } = await closed;
    assert.equal(code, 4403);
    assert.match(reason, /^not-any-more/);
  });

  test('refuses a WebSocket with an invalid token, or from a page of another site', async () => {
    const client = createWebSocketClient({
      url: url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: 'Bearer x' },
      retryAttempts: 0,
    });
    const refused = (await first(1, (sink) => client.subscribe({ query: '{ __typename }' }, sink as never)).catch((error) => error)) as {
      code?: number;
    };
    assert.equal(refused.code, 4403);
    const cookie = [...guarded.owner.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const socket = new WebSocket(url.replace('http', 'ws'), 'graphql-transport-ws', {
      headers: { cookie, origin: 'https://evil.example' },
    });
    const failure = await new Promise<Error>((resolve) => socket.once('error', resolve));
    assert.match(failure.message, /403/);
  });
});

test('fault 18: with listed operations, others are refused on every transport', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-operations-'));
  const text = '{ instruments { data { id } } }';
  const hash = createHash('sha256').update(text).digest('hex');
  writeFileSync(join(folder, 'operations.json'), JSON.stringify({ [hash]: text }));
  const guarded = await startGuarded(folder, { ...WITHOUT_WORLD, MILLRACE_GRAPHQL__OPERATIONS: 'operations.json' });
  const ask = async (body: object) => (await (await guarded.owner.ask('POST', '/api/v1/graphql', body)).json()) as Answer;
  assert.ok((await ask({ extensions: { persistedQuery: { version: 1, sha256Hash: hash } } })).data);
  assert.ok((await ask({ query: text })).errors);
  const overSocket = (payload: object) => {
    const cookie = [...guarded.owner.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    return overWebSocket(`${guarded.server.url}/api/v1/graphql`, { cookie }, payload);
  };
  assert.match(JSON.stringify(await overSocket({ query: '{ sources { data { id } } }' })), /PERSISTED_QUERY_NOT_IN_LIST/);
  const persistedQuery = { version: 1, sha256Hash: hash };
  assert.match(JSON.stringify(await overSocket({ query: '', extensions: { persistedQuery } })), /"next".*instruments/);
  assert.match(JSON.stringify(await overSocket({ query: text })), /"next".*instruments/);
  await guarded.server.stop();
  rmSync(folder, { recursive: true, force: true });
});
