import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Principal, Problem } from '@millrace/contracts';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { Envelope, localMasterKey } from '@millrace/secrets';
import { assertWithinTime, until } from '@millrace/testing';
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import fastify, { type FastifyInstance } from 'fastify';
import { EMPTY, ENGINES, type TestDatabase } from '../database/testing/engines.ts';
import { idempotencyHooks } from './idempotency.ts';
import { type IdempotencyKeyOptions, IdempotencyKeys, type Sealing } from './idempotency-keys.ts';
import { ApiProblem, respondWithProblems } from './problems.ts';

const KIM = { kind: 'key', user: 'kim', tenant: 'main', name: 'kim' } as Principal;
const LEE = { ...KIM, user: 'lee', name: 'lee' };
const sealing = new Envelope([localMasterKey(Buffer.alloc(32, 7))]);

/** A server with one operation: it creates a thing with a secret, and counts the things. */
interface TestServer {
  readonly app: FastifyInstance;
  readonly keys: IdempotencyKeys;
  post(options: {
    key?: string;
    body?: object;
    principal?: Principal;
    path?: string;
  }): Promise<{ status: number; replayed: boolean; body: string; location: string; code: string; retryAfter: string }>;
}

/** @param handle what the operation does; it resolves when the response may be sent */
function serverWith(
  database: Database,
  handle: (body: Record<string, unknown>) => Promise<unknown>,
  options: IdempotencyKeyOptions = {},
  sealed: Sealing = sealing,
): TestServer {
  const keys = new IdempotencyKeys(database, sealed, options);
  const app = fastify();
  respondWithProblems(app);
  app.decorateRequest('principal', null as unknown as Principal);
  app.addHook('onRequest', async (request) => {
    request.principal = request.headers['x-user'] === 'lee' ? LEE : KIM;
  });
  const hooks = idempotencyHooks(keys, () => {});
  for (const url of ['/things', '/others'])
    app.post(url, { ...hooks }, async (request, reply) => {
      const made = (await handle((request.body ?? {}) as Record<string, unknown>)) as { id: string } | undefined;
      if (made === undefined) return reply.code(204).send();
      return reply.code(201).header('location', `/things/${made.id}`).send(made);
    });
  return {
    app,
    keys,
    post: async ({ key, body = {}, principal = KIM, path = '/things' }) => {
      const headers = { 'x-user': principal.user ?? '', ...(key !== undefined && { 'idempotency-key': key }) };
      const response = await app.inject({ method: 'POST', url: path, headers, payload: body });
      const problem = response.body.startsWith('{') ? (JSON.parse(response.body) as Partial<Problem>) : {};
      return {
        status: response.statusCode,
        replayed: response.headers['idempotency-replayed'] === 'true',
        body: response.body,
        location: String(response.headers.location ?? ''),
        code: problem.code ?? '',
        retryAfter: String(response.headers['retry-after'] ?? ''),
      };
    },
  };
}

for (const engine of ENGINES)
  describe(`Idempotency-Key on ${engine.name}`, () => {
    let running: TestDatabase;
    let database: Database;
    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await migrateDatabase(database, EMPTY.migrations);
    });
    after(async () => {
      await database.close();
      await running.close();
    });

    let made = 0;
    const create = async () => ({ id: `thing-${++made}`, secret: `secret-${randomUUID()}` });

    test('a repeat gets the same status, Location and body, and has no other effect', async () => {
      const server = serverWith(database, create);
      const count = made;
      const first = await server.post({ key: 'a', body: { name: 'x', tags: [1] } });
      const again = await server.post({ key: 'a', body: { tags: [1], name: 'x' } });
      assert.deepEqual([first.status, first.replayed, again.replayed, made - count], [201, false, true, 1]);
      assert.deepEqual([again.status, again.location, again.body], [first.status, first.location, first.body]);
      await server.post({ body: { name: 'x', tags: [1] } });
      await server.post({ body: { name: 'x', tags: [1] } });
      assert.equal(made - count, 3, 'without a key each request is another');
    });

    test('204 is repeated without a body', async () => {
      const server = serverWith(database, async () => undefined);
      assert.deepEqual(
        [(await server.post({ key: 'none' })).status, await server.post({ key: 'none' })].map((one) =>
          typeof one === 'number' ? one : [one.status, one.body, one.replayed],
        ),
        [204, [204, '', true]],
      );
    });

    test('a key is separate per user and path; a request with the same key and another body or query is refused', async () => {
      const server = serverWith(database, create);
      const count = made;
      const first = await server.post({ key: 'b', body: { n: 1 } });
      const lee = await server.post({ key: 'b', body: { n: 1 }, principal: LEE });
      const other = await server.post({ key: 'b', body: { n: 1 }, path: '/others' });
      assert.equal(new Set([first.body, lee.body, other.body]).size, 3);
      for (const change of [{ body: { n: 2 } }, { body: { n: 1 }, path: '/things?n=1' }, { body: { n: '1' } }]) {
        const refused = await server.post({ key: 'b', ...change });
        assert.deepEqual([refused.status, refused.code], [422, 'IDEMPOTENCY_KEY_REUSED']);
      }
      assert.equal(made - count, 3);
    });

    test('while the first runs, a repeat is refused with Retry-After, also by another server', async () => {
      let finish: () => void = () => {};
      const blocked = new Promise<void>((resolve) => {
        finish = resolve;
      });
      const slow = serverWith(database, () => blocked.then(create), { reservedMs: 500 });
      const other = serverWith(database, create);
      const count = made;
      const first = slow.post({ key: 'c' });
      await setTimeout(1_200);
      for (const server of [slow, other]) {
        const refused = await server.post({ key: 'c' });
        assert.deepEqual([refused.status, refused.code, refused.retryAfter], [409, 'IDEMPOTENCY_KEY_IN_USE', '1']);
      }
      finish();
      const response = await first;
      const again = await other.post({ key: 'c' });
      assert.deepEqual([again.body, again.replayed, made - count], [response.body, true, 1], 'a running request keeps its reservation');
      slow.keys.close();
    });

    test('a response that cannot be stored at first is stored later, and a repeat does not run meanwhile', async () => {
      let isSealing = false;
      let refused = 0;
      const sealed: Sealing = {
        seal: async (plain, context) => {
          if (isSealing) return sealing.seal(plain, context);
          refused++;
          throw new Error('Vault is unavailable');
        },
        open: (text, context) => sealing.open(text, context),
      };
      const server = serverWith(database, create, { reservedMs: 400 }, sealed);
      const count = made;
      const first = await server.post({ key: 'unstored' });
      assert.deepEqual([first.status, made - count], [201, 1]);
      // Tried four times as often as a reservation would expire.
      await until(() => refused > 8, 'the response was tried again');
      assert.equal((await server.post({ key: 'unstored' })).code, 'IDEMPOTENCY_KEY_IN_USE');
      isSealing = true;
      await until(async () => (await server.post({ key: 'unstored' })).replayed, 'the response is stored');
      assert.deepEqual([(await server.post({ key: 'unstored' })).body, made - count], [first.body, 1]);
      server.keys.close();
    });

    test('a refusal of the handler is kept; a rate limit and a server error are not', async () => {
      const outcomes: unknown[] = [
        new ApiProblem('RATE_LIMITED', 'Too many.', 'Wait.'),
        new ApiProblem('ZONE_UNAVAILABLE', 'Moving.', 'Wait.'),
        new Error('broken'),
        new ApiProblem('NOT_FOUND', 'No such thing.', 'List them.'),
      ];
      const server = serverWith(database, async () => {
        throw outcomes.shift() ?? new Error('called once more');
      });
      const found: [number, boolean][] = [];
      for (let times = 0; times < 6; times++) {
        const { status, replayed } = await server.post({ key: 'd' });
        found.push([status, replayed]);
      }
      assert.deepEqual(found, [
        [429, false],
        [503, false],
        [500, false],
        [404, false],
        [404, true],
        [404, true],
      ]);
    });

    test('stored responses are sealed', async () => {
      const server = serverWith(database, create);
      const { body } = await server.post({ key: 'sealed-key', body: { password: 'hunter2hunter2' } });
      const { secret } = JSON.parse(body) as { secret: string };
      const { rows } = await database.drizzle.execute(sql`select * from idempotency_keys`);
      const stored = JSON.stringify(rows);
      assert.ok(rows.length > 0 && stored.includes('mse1.'));
      for (const text of [secret, 'thing-', 'hunter2', 'sealed-key']) assert.ok(!stored.includes(text), text);
    });

    for (const [key, what] of [
      ['', 'an empty key'],
      ['a'.repeat(256), '256 characters'],
      ['a b', 'a space'],
      ['ü', 'a character that is not ASCII'],
    ] as const)
      test(`${what} is refused`, async () => {
        const server = serverWith(database, create);
        assert.equal((await server.post({ key })).status, 400);
      });

    test('a principal has a bounded number of keys; others are not affected, and repeats still work', async () => {
      await database.drizzle.execute(sql`delete from idempotency_keys`);
      const server = serverWith(database, create, { keysMax: 3 });
      for (const key of ['1', '2', '3']) assert.equal((await server.post({ key })).status, 201);
      const refused = await server.post({ key: '4' });
      assert.deepEqual([refused.status, refused.code], [429, 'TOO_MANY_IDEMPOTENCY_KEYS']);
      assert.equal((await server.post({ key: '4', principal: LEE })).status, 201);
      assert.equal((await server.post({ key: '1' })).replayed, true);
      await database.drizzle.execute(sql`update idempotency_keys set expires_at = 0`);
      assert.equal((await server.post({ key: '1' })).replayed, false, 'an expired key is new');
      assert.equal((await server.post({ key: '4' })).status, 201);
    });

    test('while the database is unavailable a request with a key is not processed', async () => {
      const unavailable = connectDatabase({ socket: '/nowhere' });
      const server = serverWith(unavailable, create);
      const count = made;
      const refused = await server.post({ key: 'e' });
      assert.deepEqual([refused.status, refused.code, refused.retryAfter, made - count], [503, 'DATABASE_UNAVAILABLE', '1', 0]);
      assert.equal((await server.post({})).status, 201, 'without a key it needs no database');
      await unavailable.close();
    });

    /** Sends a request, as a client does, until the response is final. */
    async function untilFinal(server: TestServer, key: string, delayMs: number) {
      await setTimeout(delayMs);
      for (;;) {
        const response = await server.post({ key });
        if (response.code !== 'IDEMPOTENCY_KEY_IN_USE') return response;
        await setTimeout(20);
      }
    }

    test('law: a request has one effect and one response, however many servers get it and how often; a server killed after the effect adds one at most', () =>
      assertWithinTime(
        fc.asyncProperty(
          fc.array(fc.record({ server: fc.nat(2), delayMs: fc.nat(30) }), { minLength: 2, maxLength: 10 }),
          fc.array(fc.nat(25), { minLength: 1, maxLength: 4 }),
          fc.option(fc.record({ afterMs: fc.nat(20), isAfterEffect: fc.boolean() })),
          async (requests, handlerMs, kill) => {
            const key = randomUUID();
            let effects = 0;
            let effectsOfKilled = 0;
            let calls = 0;
            const doomed = serverWith(
              database,
              async () => {
                await setTimeout(kill?.afterMs ?? 0);
                if (kill?.isAfterEffect) {
                  effects++;
                  effectsOfKilled++;
                }
                doomed.keys.close();
                return new Promise(() => {});
              },
              { reservedMs: 1_500 },
            );
            const servers = Array.from({ length: 3 }, () =>
              serverWith(
                database,
                async () => {
                  await setTimeout(handlerMs[calls++ % handlerMs.length]);
                  effects++;
                  return create();
                },
                { reservedMs: 1_500 },
              ),
            );
            // The killed server may hold the reservation before or after the requests of the others.
            if (kill) void doomed.post({ key });
            const responses = await Promise.all(
              requests.map(({ server, delayMs }) => untilFinal(servers[server] as TestServer, key, delayMs)),
            );
            assert.equal(effects - effectsOfKilled, 1, 'one effect');
            assert.deepEqual(
              [...new Set(responses.map(({ status, body, location }) => `${status} ${location} ${body}`))].length,
              1,
              'one response',
            );
            assert.equal(responses.filter(({ replayed }) => !replayed).length, 1, 'all but one are repeats');
          },
        ),
        { numRuns: 25, ms: 2_500 },
      ));
  });
