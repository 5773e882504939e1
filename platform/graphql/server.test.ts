import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { on, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { CONTRACTS, HOME_TENANT, type Principal } from '@millrace/contracts';
import { Hub } from '@millrace/streams';
import { until } from '@millrace/testing';
import fastify, { type FastifyPluginAsync } from 'fastify';
import { WebSocket } from 'ws';
import { OpenStreams } from '../http/open-streams.ts';
import { routeUpgrades } from '../http/upgrades.ts';
import { createDocumentCaches } from './document-caches.ts';
import { GRAPHQL_PATH } from './path.ts';
import { type GraphQlServer, openGraphQl } from './server.ts';

/*
 * The GraphQL server with stub routes, in this process. tests/graphql tests it within a complete server.
 */

const SUBSCRIBER: Principal = {
  kind: 'session',
  user: 'kim',
  name: 'Kim',
  tenant: HOME_TENANT,
  role: 'viewer',
  tier: 'free',
  permissions: new Set(),
  lacksTwoFactor: false,
  version: null,
  credential: 'c',
  expiresAt: null,
};

interface GraphQlResponse {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}
const codeOf = ({ errors }: GraphQlResponse) => errors?.[0]?.extensions?.code;

describe('the GraphQL server', () => {
  const app = fastify();
  const caches = createDocumentCaches();
  const hub = new Hub({ clock: systemClock, epoch: 'e', historyEvents: 10, initial: () => [] });
  const streams = new OpenStreams(100, Date.now);
  const logged: unknown[] = [];
  let server: GraphQlServer;
  let instruments: object[] = [];
  let quotes = 0;
  let announcements = 0;
  before(async () => {
    routeUpgrades(app, {});
    const logger = { ...app.log, error: (entry: unknown) => void logged.push(entry) } as never;
    const checkChannel = (name: string) => ({ name, delivery: 'lossless' }) as const;
    server = openGraphQl(
      { app, streams, identify: async () => SUBSCRIBER },
      { hub, checkChannel, logger, operations: null, contracts: CONTRACTS },
      caches,
    );
    app.addHook('onRequest', async (request) => {
      request.principal = SUBSCRIBER;
    });
    app.addHook('onError', async (_request, _reply, error) => void logged.push(error));
    app.get('/api/v1/instruments', () => ({ data: instruments, hasMore: false, nextCursor: null }));
    app.post('/api/v1/world/announcements', () => ({ ok: true, zones: ++announcements }));
    app.get('/api/v1/instruments/:id/quote', () => ({ bid: String(++quotes) }));
    const routes: FastifyPluginAsync = async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
      scope.route({ method: ['GET', 'POST'], url: GRAPHQL_PATH, handler: (request, reply) => server.handle(request, reply) });
    };
    await app.register(routes);
    await app.listen({ host: '127.0.0.1', port: 0 });
  });
  after(async () => {
    hub.close('end of the test');
    await server.close();
    await app.close();
  });

  const post = async (body: object): Promise<GraphQlResponse> =>
    (await app.inject({ method: 'POST', url: GRAPHQL_PATH, payload: body })).json();

  /** Responses of one connection, in order. Each request is sent after the response to the previous one. */
  async function overWebSocket(...payloads: object[]): Promise<{ type: string; payload: unknown }[]> {
    const { port } = app.server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}${GRAPHQL_PATH}`, 'graphql-transport-ws');
    const ended = new AbortController();
    socket.once('close', (code: number, reason: Buffer) => ended.abort(new Error(`closed with ${code} ${reason}`)));
    const messages = on(socket, 'message', { signal: ended.signal });
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    await messages.next();
    const responses: { type: string; payload: unknown }[] = [];
    for (const [index, payload] of payloads.entries()) {
      socket.send(JSON.stringify({ id: String(index), type: 'subscribe', payload }));
      for (;;) {
        const { value } = await messages.next().catch((error: Error) => {
          throw error.cause ?? error;
        });
        const message = JSON.parse(String(value?.[0])) as { id: string; type: string; payload: unknown };
        if (message.type !== 'complete') {
          responses.push(message);
          break;
        }
      }
    }
    socket.terminate();
    return responses;
  }

  test('an argument of dots calls no other route', async () => {
    // The path of the announcement to all zones.
    const response = await post({ query: 'mutation { createZoneAnnouncement(zone: "..", text: "x") { ok } }' });
    assert.deepEqual([codeOf(response), response.errors?.[0]?.message, announcements], ['BAD_REQUEST', '".." is not a valid zone.', 0]);
  });

  test('caches 100 parsed documents and 100 parse errors', async () => {
    for (let index = 0; index < 110; index++) {
      assert.ok((await post({ query: `{ a${index}: __typename }` })).data);
      assert.equal(codeOf(await post({ query: `{ a${index}: ` })), 'GRAPHQL_PARSE_FAILED');
    }
    assert.deepEqual([caches.parsed.size, caches.errors.size], [100, 100]);
  });

  test('stores 1,000 persisted documents', async () => {
    const persisted = (index: number) => {
      const query = `{ b${index}: __typename }`;
      return { query, extensions: { persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') } } };
    };
    assert.ok((await post(persisted(0))).data);
    assert.ok((await post({ extensions: persisted(0).extensions })).data);
    for (let index = 1; index <= 1_000; index++) caches.persisted.set(`another ${index}`, '{ __typename }');
    assert.equal(codeOf(await post({ extensions: persisted(0).extensions })), 'PERSISTED_QUERY_NOT_FOUND');
    assert.equal(caches.persisted.size, 1_000);
  });

  test('calls at most 1,000 routes for one operation, even when a list is longer than estimated', async () => {
    instruments = Array.from({ length: 1_200 }, (_none, index) => ({ id: `sim:${index}` }));
    quotes = 0;
    const { data, errors } = await post({ query: '{ instruments { data { getQuote { bid } } } }' });
    // The list itself is the first of the 1,000 calls.
    assert.equal(quotes, 999);
    assert.deepEqual([errors?.length, errors?.at(-1)?.extensions?.code], [201, 'QUERY_TOO_LARGE']);
    assert.equal((data?.instruments as { data: object[] }).data.length, 1_200);
    instruments = [];
  });

  const SUBSCRIPTION = 'subscription { tickers { event } }';

  test('a subscription whose client accepts no format for events is refused and leaves no stream', async () => {
    for (const accept of ['application/json', 'text/html', 'multipart/mixed', 'image/png']) {
      const response = await app.inject({ method: 'POST', url: GRAPHQL_PATH, headers: { accept }, payload: { query: SUBSCRIPTION } });
      assert.equal(response.statusCode, 406, accept);
      await until(() => streams.size === 0 && hub.stats().readers === 0, `no stream is open after ${accept}`);
    }
  });

  test('a subscription whose client disconnects while it is prepared leaves no stream', async (context) => {
    const { port } = app.server.address() as AddressInfo;
    const sha256Hash = createHash('sha256').update(SUBSCRIPTION).digest('hex');
    const body = JSON.stringify({ query: SUBSCRIPTION, extensions: { persistedQuery: { version: 1, sha256Hash } } });
    const requested = once(app.server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
    const client = connect(port, '127.0.0.1');
    // Yoga hashes the document before it runs the operation.
    const digest = crypto.subtle.digest.bind(crypto.subtle);
    const hashing = context.mock.method(crypto.subtle, 'digest', async (...args: Parameters<typeof digest>) => {
      const [, response] = await requested;
      const closed = once(response, 'close');
      client.destroy();
      await closed;
      return digest(...args);
    });
    const head = ['Host: x', 'Accept: text/event-stream', 'Content-Type: application/json', `Content-Length: ${body.length}`];
    client.write(`POST ${GRAPHQL_PATH} HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n${body}`);
    await until(() => hashing.mock.callCount() === 1, 'the document is hashed');
    await hashing.mock.calls[0]?.result;
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([streams.size, hub.stats().readers, logged], [0, 0, []]);
  });

  test('runs 256 operations of one WebSocket at a time, and reads messages of at most 1 MiB', async () => {
    const { port } = app.server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}${GRAPHQL_PATH}`, 'graphql-transport-ws');
    const messages = on(socket, 'message');
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    await messages.next();
    const query = SUBSCRIPTION;
    for (let id = 0; id < 300; id++) socket.send(JSON.stringify({ id: String(id), type: 'subscribe', payload: { query } }));
    for (let refused = 0; refused < 44; refused++) {
      const { payload } = JSON.parse(String((await messages.next()).value?.[0])) as { payload: GraphQlResponse['errors'] };
      assert.equal(payload?.[0]?.extensions?.code, 'RATE_LIMITED');
    }
    socket.send('{"type":"ping"}');
    assert.equal(String((await messages.next()).value?.[0]), '{"type":"pong"}');
    const closed = once(socket, 'close');
    socket.send('{"type":"ping"}'.padEnd(1024 * 1024 + 1));
    assert.equal((await closed)[0], 1009);
  });

  test('fault 82: parameters that are not JSON are refused with BAD_REQUEST and are not logged as a server error', async () => {
    for (const name of ['variables', 'extensions'])
      for (const value of ['text', '{', '\ud800', '[1,]']) {
        const form = `query=${encodeURIComponent('{ __typename }')}&${name}=${encodeURIComponent(value.toWellFormed())}`;
        const json = { accept: 'application/json' };
        const responses = [
          await app.inject({ url: `${GRAPHQL_PATH}?${form}`, headers: json }),
          await app.inject({
            method: 'POST',
            url: GRAPHQL_PATH,
            headers: { ...json, 'content-type': 'application/x-www-form-urlencoded' },
            payload: form,
          }),
        ];
        for (const response of responses)
          assert.deepEqual([response.statusCode, codeOf(response.json())], [400, 'BAD_REQUEST'], `${name}=${value}: ${response.body}`);
      }
    assert.deepEqual(logged, []);
  });

  test('fault 82: a document that is not a string is refused before it is processed', async () => {
    const extensions = { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } };
    for (const query of [1.5, true, {}, { length: 0 }, { length: 1e9 }, [], ['{ __typename }'], 0, false])
      for (const body of [{ query }, { query, extensions }]) {
        const response = await app.inject({ method: 'POST', url: GRAPHQL_PATH, payload: body });
        assert.deepEqual([response.statusCode, codeOf(response.json())], [400, 'BAD_REQUEST'], `${JSON.stringify(body)}: ${response.body}`);
      }
    assert.deepEqual(logged, []);
  });

  test('fault 82: a deeply nested document is refused before it is parsed, because the parser is recursive', async () => {
    const nested = (levels: number, [open, close]: readonly [string, string]) => `${open.repeat(levels)}1${close.repeat(levels)}`;
    for (const brackets of [
      ['[', ']'],
      ['{a:', '}'],
      ['[{a:', '}]'],
    ] as const)
      for (const levels of [101, 900, 1_900]) {
        const query = `{ instrument(id: ${nested(levels, brackets)}) { id } }`;
        assert.equal(codeOf(await post({ query })), 'QUERY_TOO_LARGE', `${levels} ${brackets}`);
        const [response] = await overWebSocket({ query });
        assert.equal(codeOf({ errors: response?.payload as never }), 'QUERY_TOO_LARGE', `${levels} ${brackets}`);
      }
    assert.equal(codeOf(await post({ query: `{ ${'... { '.repeat(101)} __typename ${'}'.repeat(101)} }` })), 'QUERY_TOO_LARGE');
    assert.equal(codeOf(await post({ query: `query ($a: ${'['.repeat(1_500)}Int) { __typename }` })), 'QUERY_TOO_LARGE');
    // Brackets in strings and comments do not count as levels.
    const text = '['.repeat(1_000);
    assert.ok((await post({ query: `{ a: __typename @include(if: true) # ${text}\n }` })).data);
    assert.notEqual(codeOf(await post({ query: `{ instrument(id: "${text}") { id } }` })), 'QUERY_TOO_LARGE');
    assert.deepEqual(logged, []);
  });

  test('fault 82: an invalid directive of a subscription fails only that operation, with a code', async () => {
    const query = 'subscription { tickers @include(if: 1) { event } }';
    assert.equal(codeOf(await post({ query })), 'GRAPHQL_VALIDATION_FAILED');
    // The connection stays open for other operations.
    const [refused, next] = await overWebSocket({ query }, { query: '{ __typename }' });
    assert.equal(refused?.type, 'error');
    assert.equal(codeOf({ errors: refused?.payload as never }), 'GRAPHQL_VALIDATION_FAILED');
    assert.deepEqual(next?.payload, { data: { __typename: 'Query' } });
  });

  test('fault 82: a syntax error has the same code over HTTP and WebSocket', async () => {
    for (const query of ['{', '{ a(b: "\\ud800") }', `{ ${'a '.repeat(2_001)} }`]) {
      const [response] = await overWebSocket({ query });
      assert.equal(codeOf({ errors: response?.payload as never }), 'GRAPHQL_PARSE_FAILED', query.slice(0, 50));
      assert.equal(codeOf(await post({ query })), 'GRAPHQL_PARSE_FAILED', query.slice(0, 50));
    }
  });

  test('fault 82: a subscription whose field a directive can remove is refused and is not logged as a server error', async () => {
    for (const query of [
      'subscription { tickers @skip(if: true) { event } }',
      'subscription ($no: Boolean = false) { tickers @include(if: $no) { event } }',
      'subscription { ... @skip(if: true) { tickers { event } } }',
      'subscription { ...F @skip(if: true) } fragment F on Subscription { tickers { event } }',
      'subscription { ...F } fragment F on Subscription { ...G } fragment G on Subscription { tickers @skip(if: true) { event } }',
    ]) {
      assert.equal(codeOf(await post({ query })), 'GRAPHQL_VALIDATION_FAILED', query);
      const [response] = await overWebSocket({ query });
      assert.equal(codeOf({ errors: response?.payload as never }), 'GRAPHQL_VALIDATION_FAILED', query);
    }
    assert.deepEqual(logged, []);
    // Inside the field, the same directives are allowed.
    const [allowed] = await overWebSocket({ query: 'subscription A { tickers { event @skip(if: true) } } query B { __typename }' });
    assert.equal(codeOf({ errors: allowed?.payload as never }), 'OPERATION_RESOLUTION_FAILURE');
  });
});
