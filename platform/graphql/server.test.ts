import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { on, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { CONTRACTS, HOME_TENANT, type Principal } from '@millrace/contracts';
import { Hub } from '@millrace/streams';
import fastify, { type FastifyPluginAsync } from 'fastify';
import { WebSocket } from 'ws';
import { OpenStreams } from '../http/open-streams.ts';
import { routeUpgrades } from '../http/upgrades.ts';
import { createDocumentCaches } from './document-caches.ts';
import { GRAPHQL_PATH } from './path.ts';
import { type GraphQlServer, openGraphQl } from './server.ts';

/*
 * GraphQL in this process, over routes that answer at once. tests/graphql asks a whole server.
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

interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}
const codeOf = ({ errors }: Answer) => errors?.[0]?.extensions?.code;

describe('the GraphQL server', () => {
  const app = fastify();
  const caches = createDocumentCaches();
  const hub = new Hub({ clock: systemClock, epoch: 'e', historyEvents: 10, initial: () => [] });
  const logged: unknown[] = [];
  let server: GraphQlServer;
  let instruments: object[] = [];
  let quotes = 0;
  before(async () => {
    routeUpgrades(app, {});
    const streams = new OpenStreams(100, Date.now);
    const logger = { ...app.log, error: (told: unknown) => void logged.push(told) } as never;
    const checkChannel = (name: string) => ({ name, delivery: 'lossless' }) as const;
    server = openGraphQl(
      { app, streams, identify: async () => SUBSCRIBER },
      { hub, checkChannel, logger, operations: null, contracts: CONTRACTS },
      caches,
    );
    app.addHook('onRequest', async (request) => {
      request.principal = SUBSCRIBER;
    });
    app.get('/api/v1/instruments', () => ({ data: instruments, hasMore: false, nextCursor: null }));
    app.get('/api/v1/instruments/:id/quote', () => ({ bid: String(++quotes) }));
    const routes: FastifyPluginAsync = async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
      scope.route({ method: ['GET', 'POST'], url: GRAPHQL_PATH, handler: (request, reply) => server.answer(request, reply) });
    };
    await app.register(routes);
    await app.listen({ host: '127.0.0.1', port: 0 });
  });
  after(async () => {
    hub.close('end of the test');
    await server.close();
    await app.close();
  });

  const post = async (body: object): Promise<Answer> => (await app.inject({ method: 'POST', url: GRAPHQL_PATH, payload: body })).json();

  /** Messages of one connection: each request is sent once the one before is answered. */
  async function overWebSocket(...payloads: object[]): Promise<{ type: string; payload: unknown }[]> {
    const { port } = app.server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}${GRAPHQL_PATH}`, 'graphql-transport-ws');
    const ended = new AbortController();
    socket.once('close', (code: number, reason: Buffer) => ended.abort(new Error(`closed with ${code} ${reason}`)));
    const messages = on(socket, 'message', { signal: ended.signal });
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    await messages.next();
    const answers: { type: string; payload: unknown }[] = [];
    for (const [index, payload] of payloads.entries()) {
      socket.send(JSON.stringify({ id: String(index), type: 'subscribe', payload }));
      for (;;) {
        const { value } = await messages.next().catch((error: Error) => {
          throw error.cause ?? error;
        });
        const message = JSON.parse(String(value?.[0])) as { id: string; type: string; payload: unknown };
        if (message.type !== 'complete') {
          answers.push(message);
          break;
        }
      }
    }
    socket.terminate();
    return answers;
  }

  test('keeps 100 parsed documents, and 100 that cannot be parsed', async () => {
    for (let index = 0; index < 110; index++) {
      assert.ok((await post({ query: `{ a${index}: __typename }` })).data);
      assert.equal(codeOf(await post({ query: `{ a${index}: ` })), 'GRAPHQL_PARSE_FAILED');
    }
    assert.deepEqual([caches.parsed.size, caches.errors.size], [100, 100]);
  });

  test('keeps 1,000 persisted documents', async () => {
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

  test('asks at most 1,000 routes for one operation, however long a list turns out', async () => {
    instruments = Array.from({ length: 1_200 }, (_none, index) => ({ id: `sim:${index}` }));
    quotes = 0;
    const { data, errors } = await post({ query: '{ instruments { data { getQuote { bid } } } }' });
    // One call is the list’s.
    assert.equal(quotes, 999);
    assert.deepEqual([errors?.length, errors?.at(-1)?.extensions?.code], [201, 'QUERY_TOO_LARGE']);
    assert.equal((data?.instruments as { data: object[] }).data.length, 1_200);
    instruments = [];
  });

  test('runs 256 operations of one WebSocket at a time, and reads messages of at most 1 MiB', async () => {
    const { port } = app.server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}${GRAPHQL_PATH}`, 'graphql-transport-ws');
    const messages = on(socket, 'message');
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    await messages.next();
    const query = 'subscription { tickers { event } }';
    for (let id = 0; id < 300; id++) socket.send(JSON.stringify({ id: String(id), type: 'subscribe', payload: { query } }));
    for (let refused = 0; refused < 44; refused++) {
      const { payload } = JSON.parse(String((await messages.next()).value?.[0])) as { payload: Answer['errors'] };
      assert.equal(payload?.[0]?.extensions?.code, 'RATE_LIMITED');
    }
    socket.send('{"type":"ping"}');
    assert.equal(String((await messages.next()).value?.[0]), '{"type":"pong"}');
    const closed = once(socket, 'close');
    socket.send('{"type":"ping"}'.padEnd(1024 * 1024 + 1));
    assert.equal((await closed)[0], 1009);
  });

  test('fault 82: parameters that are no JSON are refused as a bad request, and are no failure', async () => {
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

  test('fault 82: a document that is no text is refused before anything is done with it', async () => {
    const extensions = { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } };
    for (const query of [1.5, true, {}, { length: 0 }, { length: 1e9 }, [], ['{ __typename }'], 0, false])
      for (const body of [{ query }, { query, extensions }]) {
        const response = await app.inject({ method: 'POST', url: GRAPHQL_PATH, payload: body });
        assert.deepEqual([response.statusCode, codeOf(response.json())], [400, 'BAD_REQUEST'], `${JSON.stringify(body)}: ${response.body}`);
      }
    assert.deepEqual(logged, []);
  });

  test('fault 82: a document of many levels is refused before it is parsed: the parser calls itself for each of them', async () => {
    const within = (levels: number, [open, close]: readonly [string, string]) => `${open.repeat(levels)}1${close.repeat(levels)}`;
    for (const brackets of [
      ['[', ']'],
      ['{a:', '}'],
      ['[{a:', '}]'],
    ] as const)
      for (const levels of [101, 900, 1_900]) {
        const query = `{ instrument(id: ${within(levels, brackets)}) { id } }`;
        assert.equal(codeOf(await post({ query })), 'QUERY_TOO_LARGE', `${levels} ${brackets}`);
        const [answer] = await overWebSocket({ query });
        assert.equal(codeOf({ errors: answer?.payload as never }), 'QUERY_TOO_LARGE', `${levels} ${brackets}`);
      }
    assert.equal(codeOf(await post({ query: `{ ${'... { '.repeat(101)} __typename ${'}'.repeat(101)} }` })), 'QUERY_TOO_LARGE');
    assert.equal(codeOf(await post({ query: `query ($a: ${'['.repeat(1_500)}Int) { __typename }` })), 'QUERY_TOO_LARGE');
    // Brackets in texts and comments are no levels.
    const text = '['.repeat(1_000);
    assert.ok((await post({ query: `{ a: __typename @include(if: true) # ${text}\n }` })).data);
    assert.notEqual(codeOf(await post({ query: `{ instrument(id: "${text}") { id } }` })), 'QUERY_TOO_LARGE');
    assert.deepEqual(logged, []);
  });

  test('fault 82: a directive of a subscription that cannot be read is an error of that operation, with a code', async () => {
    const query = 'subscription { tickers @include(if: 1) { event } }';
    assert.equal(codeOf(await post({ query })), 'GRAPHQL_VALIDATION_FAILED');
    // The connection goes on, with the operations of other components.
    const [refused, next] = await overWebSocket({ query }, { query: '{ __typename }' });
    assert.equal(refused?.type, 'error');
    assert.equal(codeOf({ errors: refused?.payload as never }), 'GRAPHQL_VALIDATION_FAILED');
    assert.deepEqual(next?.payload, { data: { __typename: 'Query' } });
  });

  test('fault 82: a document that cannot be parsed has the same code over every transport', async () => {
    for (const query of ['{', '{ a(b: "\\ud800") }', `{ ${'a '.repeat(2_001)} }`]) {
      const [answer] = await overWebSocket({ query });
      assert.equal(codeOf({ errors: answer?.payload as never }), 'GRAPHQL_PARSE_FAILED', query.slice(0, 50));
      assert.equal(codeOf(await post({ query })), 'GRAPHQL_PARSE_FAILED', query.slice(0, 50));
    }
  });

  test('fault 82: a subscription whose field is left out by a directive is refused, and is no failure', async () => {
    for (const query of [
      'subscription { tickers @skip(if: true) { event } }',
      'subscription ($no: Boolean = false) { tickers @include(if: $no) { event } }',
      'subscription { ... @skip(if: true) { tickers { event } } }',
      'subscription { ...F @skip(if: true) } fragment F on Subscription { tickers { event } }',
      'subscription { ...F } fragment F on Subscription { ...G } fragment G on Subscription { tickers @skip(if: true) { event } }',
    ]) {
      assert.equal(codeOf(await post({ query })), 'GRAPHQL_VALIDATION_FAILED', query);
      const [answer] = await overWebSocket({ query });
      assert.equal(codeOf({ errors: answer?.payload as never }), 'GRAPHQL_VALIDATION_FAILED', query);
    }
    assert.deepEqual(logged, []);
    // Below the field they are usual.
    const [allowed] = await overWebSocket({ query: 'subscription A { tickers { event @skip(if: true) } } query B { __typename }' });
    assert.equal(codeOf({ errors: allowed?.payload as never }), 'OPERATION_RESOLUTION_FAILURE');
  });
});
