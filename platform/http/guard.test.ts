import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, test } from 'node:test';
import { HOME_TENANT, type Permission, type Principal } from '@millrace/contracts';
import { until } from '@millrace/testing';
import fastify from 'fastify';
import { type GuardOptions, guardRoutes, isLoopbackHost, requireOwnPage } from './guard.ts';
import { ApiProblem, respondWithProblems } from './problems.ts';
import { MemoryRateLimiter } from './rate-limit.ts';

const principal = (kind: Principal['kind'], ...permissions: Permission[]): Principal => ({
  kind,
  user: kind === 'anonymous' ? null : 'u',
  name: kind,
  tenant: HOME_TENANT,
  role: null,
  tier: 'free',
  permissions: new Set(permissions),
  lacksTwoFactor: false,
  version: null,
  credential: 'c',
  expiresAt: null,
});

function guarded(who: Principal, options: Partial<GuardOptions> = {}) {
  const app = fastify();
  respondWithProblems(app);
  guardRoutes(app, {
    identify: async () => who,
    origins: ['https://friend.example'],
    limiter: new MemoryRateLimiter(() => 0),
    onAuditEvent: () => {},
    ...options,
  });
  return app;
}

test('a route that declares no access keeps the server from starting', async () => {
  const app = guarded(principal('anonymous'));
  app.get('/open', { config: { access: 'public' } }, () => 'open');
  app.get('/forgotten', () => 'secrets');
  await assert.rejects(Promise.resolve(app.ready()), /declare no access: GET \/forgotten/);
});

test('a caller without the permission gets 401 when signing in can help, else 403', async () => {
  for (const [who, status, code] of [
    [principal('anonymous'), 401, 'UNAUTHENTICATED'],
    [principal('session'), 403, 'FORBIDDEN'],
    [principal('session', 'market:read'), 200, undefined],
  ] as const) {
    const app = guarded(who);
    app.get('/prices', { config: { access: 'market:read' } }, () => ({ price: 1 }));
    const response = await app.inject('/prices');
    assert.deepEqual([response.statusCode, response.json().code], [status, code]);
  }
});

test('a request over the rate limit gets Retry-After, and requests of a signed-in user are counted by user', async () => {
  const app = guarded(principal('session', 'market:read'));
  app.get('/prices', { config: { access: 'market:read' } }, () => ({ price: 1 }));
  app.get('/file', { config: { access: 'public', cost: 0 } }, () => ({}));
  const responses = await Promise.all(Array.from({ length: 50 }, () => app.inject('/prices')));
  assert.equal(responses.filter(({ statusCode }) => statusCode === 200).length, 40);
  const late = responses.at(-1);
  assert.deepEqual(
    [late?.statusCode, late?.json().code, late?.headers['retry-after'], late?.headers.ratelimit],
    [429, 'RATE_LIMITED', '1', '"requests";r=0;t=4'],
  );
  assert.equal((await app.inject('/file')).statusCode, 200);
});

describe('an action of an operator', () => {
  async function listening(options: Partial<GuardOptions>, who = principal('key', 'platform:operate')) {
    const effects: unknown[] = [];
    const app = guarded(who, options);
    const release = Promise.withResolvers<void>();
    app.post('/op', { config: { access: 'platform:operate' } }, async (request) => {
      effects.push(request.body);
      if ((request.body as { slow?: boolean }).slow) await release.promise;
      return {};
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1');
    const send = (body: object) => {
      const text = JSON.stringify(body);
      socket.write(`POST /op HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`);
      return text;
    };
    return { app, effects, socket, send, release };
  }

  test('is audited also when its client disconnects before the response', async () => {
    const audited: unknown[] = [];
    const { app, effects, socket, send, release } = await listening({ onAuditEvent: ({ detail }) => void audited.push(detail.body) });
    const requested = once(app.server, 'request') as Promise<[unknown, ServerResponse]>;
    socket.write(send({ slow: true }));
    const [, response] = await requested;
    await until(() => effects.length === 1, 'it takes effect');
    const closed = once(response, 'close');
    socket.destroy();
    await closed;
    release.resolve();
    await until(() => audited.length === 1, 'it is audited');
    assert.deepEqual(audited, [{ slow: true }]);
    await app.inject({ method: 'POST', url: '/op', payload: { n: 2 } });
    assert.deepEqual(audited, [{ slow: true }, { n: 2 }]);
    await app.close();
  });

  test('is answered when its audit entry is stored; an action that failed may have had its effect, a refused one has not', async () => {
    const audited: unknown[] = [];
    const stored = Promise.withResolvers<void>();
    const app = guarded(principal('key', 'platform:operate'), {
      onAuditEvent: async ({ detail }) => {
        audited.push(detail.status ?? detail.refused ?? 'done');
        await stored.promise;
      },
    });
    let isAnswered = false;
    app.post('/op', { config: { access: 'platform:operate' } }, (_request, reply) => reply.send({}));
    app.post('/broken', { config: { access: 'platform:operate' } }, () => Promise.reject(new Error('lost the zone half-way')));
    app.post('/outcome', { config: { access: 'platform:operate' } }, (request) => {
      request.refused = 'NOT_HERE';
      return { ok: false };
    });
    app.post('/refused', { config: { access: 'platform:operate' } }, () => Promise.reject(new ApiProblem('CONFLICT', 'No.', 'Wait.')));
    const answered = app.inject({ method: 'POST', url: '/op' }).then(() => {
      isAnswered = true;
    });
    await until(() => audited.length === 1, 'it is reported');
    await new Promise(setImmediate);
    assert.equal(isAnswered, false);
    stored.resolve();
    await answered;
    await app.inject({ method: 'POST', url: '/broken' });
    const unavailable = guarded(principal('key'), {
      identify: () => Promise.reject(new ApiProblem('DATABASE_UNAVAILABLE', 'The database is unavailable.', 'Try again in a moment.')),
      onAuditEvent: () => void audited.push('before its handler'),
    });
    unavailable.post('/op', { config: { access: 'platform:operate' } }, () => ({}));
    assert.equal((await unavailable.inject({ method: 'POST', url: '/op' })).statusCode, 503);
    await app.inject({ method: 'POST', url: '/refused' });
    await app.inject({ method: 'POST', url: '/outcome' });
    assert.deepEqual(audited, ['done', 500, 'NOT_HERE']);
  });

  for (const [what, who] of [
    ['was revoked', principal('key', 'platform:operate')],
    ['has expired', { ...principal('token', 'platform:operate'), expiresAt: 1_000 }],
  ] as const)
    test(`has no effect when its credential ${what} before its body arrived`, async () => {
      let isGone = false;
      const requireNotRevoked = () => {
        if (isGone) throw new ApiProblem('INVALID_TOKEN', 'The session, token or key was revoked.', 'Sign in again.');
      };
      const now = () => (isGone ? 1_000 : 999);
      const { app, effects, socket, send } = await listening(what === 'has expired' ? { now } : { requireNotRevoked }, who);
      const requested = once(app.server, 'request');
      const body = send({ n: 1 });
      await requested;
      isGone = true;
      socket.write(body);
      const [response] = (await once(socket, 'data')) as [string];
      assert.match(response, /^HTTP\/1\.1 401 /);
      assert.deepEqual(effects, []);
      socket.destroy();
      await app.close();
    });
});

test('a browser session is accepted from our own pages and from configured origins only', () => {
  const session = principal('session');
  const passes = (headers: Record<string, string>, who = session) => {
    try {
      requireOwnPage(who, { host: 'mill.example', ...headers }, ['https://friend.example']);
      return true;
    } catch {
      return false;
    }
  };
  assert.ok(passes({}));
  assert.ok(passes({ origin: 'https://mill.example' }));
  assert.ok(passes({ origin: 'https://friend.example' }));
  assert.ok(passes({ 'sec-fetch-site': 'same-origin' }));
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'https://mill.example.evil.example' },
    { 'sec-fetch-site': 'cross-site' },
  ])
    assert.ok(!passes(headers), JSON.stringify(headers));
  // A token or key that a page has to know is not a browser session.
  assert.ok(passes({ origin: 'https://evil.example' }, principal('key')));
  assert.ok(passes({ origin: 'https://evil.example' }, principal('token')));
});

test('only loopback names and addresses are loopback hosts', () => {
  for (const host of ['localhost', 'localhost:7420', '127.0.0.1:7420', '[::1]:7420']) assert.ok(isLoopbackHost(host), host);
  for (const host of [undefined, '', 'evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:7420', '10.0.0.1', '0.0.0.0'])
    assert.ok(!isLoopbackHost(host), String(host));
});

describe('credentials that are not valid', () => {
  /** An app that accepts the given keys, and the keys that it looked up. */
  function keyed(valid: ReadonlySet<string>) {
    const app = fastify({ trustProxy: true });
    respondWithProblems(app);
    const lookedUp: string[] = [];
    guardRoutes(app, {
      identify: async ({ headers }) => {
        const key = String(headers['x-api-key']);
        lookedUp.push(key);
        if (!valid.has(key)) throw new ApiProblem('INVALID_TOKEN', 'It is not valid.', 'Send a valid one.');
        return principal('key', 'market:read');
      },
      origins: [],
      limiter: new MemoryRateLimiter(() => 0),
      onAuditEvent: () => {},
    });
    app.get('/prices', { config: { access: 'market:read', cost: 0 } }, () => ({}));
    const ask = async (key: string, from = '10.0.0.1') =>
      (await app.inject({ url: '/prices', headers: { 'x-api-key': key, 'x-forwarded-for': from } })).statusCode;
    return { ask, lookedUp };
  }

  test('fault 29: many wrong keys from an address do not block keys that were recently valid, there or elsewhere', async () => {
    const valid = new Set(['mill_alice0-key', 'mill_bob000-key', 'mill_carol0-key']);
    const { ask } = keyed(valid);
    assert.equal(await ask('mill_alice0-key'), 200);
    assert.equal(await ask('mill_bob000-key', '10.0.0.2'), 200);
    const wrong: number[] = [];
    for (let count = 0; count < 100; count++) wrong.push(await ask(`mill_${String(count).padStart(6, '0')}-wrong`));
    assert.ok(wrong.includes(429));
    assert.equal(await ask('mill_alice0-key'), 200);
    assert.equal(await ask('mill_bob000-key'), 200);
    // A key that was never used before is refused from that address only.
    assert.equal(await ask('mill_carol0-key'), 429);
    assert.equal(await ask('mill_carol0-key', '10.0.0.2'), 200);
    assert.equal(await ask('mill_carol0-key'), 200);
    // A key that is no longer valid is looked up once more, then counts as wrong.
    valid.delete('mill_bob000-key');
    assert.deepEqual([await ask('mill_bob000-key'), await ask('mill_bob000-key')], [401, 429]);
  });

  test('fault 29: a program that repeats one wrong key blocks no other key', async () => {
    const { ask, lookedUp } = keyed(new Set(['mill_new000-key']));
    const responses = [];
    for (let count = 0; count < 200; count++) responses.push(await ask('mill_expired-key'));
    assert.ok(responses.at(-1) === 429 && lookedUp.length < 20, `${lookedUp.length} lookups`);
    assert.equal(await ask('mill_new000-key'), 200);
  });
});
