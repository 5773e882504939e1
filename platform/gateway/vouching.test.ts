import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ApiProblem, MemoryRateLimiter } from '@millrace/http';
import fc from 'fast-check';
import fastify from 'fastify';
import { guardRoutes } from '../http/guard.ts';
import { respondWithProblems } from '../http/problems.ts';
import { NonceWindow } from './nonce-window.ts';
import { kim } from './testing/kim.ts';
import { VOUCH_HEADER, Vouching, VouchReader } from './vouching.ts';

const SERVER = 'http://10.0.0.5:7420';
/** A request without a body, as a gateway sends it and as the server gets it. */
const sentTo = (target: string, { server = SERVER, method = 'GET', body = '' } = {}) => ({ server, method, target, body });
const got = (header: string | undefined, url: string, method = 'GET') => ({
  headers: header === undefined ? {} : { [VOUCH_HEADER]: header },
  method,
  url,
});

describe('the vouch of a gateway', () => {
  const vouching = new Vouching('secret', () => 1_000_000);
  const readerAt = (now: number, secret = 'secret') => new VouchReader(secret, () => now, SERVER);

  test('has the principal that the gateway signed', () => {
    const reader = readerAt(1_000_000);
    const header = vouching.vouch(kim, sentTo('/api/v1/account'));
    assert.deepEqual(reader.read(got(header, '/api/v1/account'))?.principal, kim);
    assert.equal(reader.read(got(undefined, '/')), null);
  });

  test('is valid for no other request, from no other installation, and for 30 s', () => {
    const header = vouching.vouch(kim, sentTo('/api/v1/account'));
    const refuses = (by: VouchReader, method: string, url: string, text = header) =>
      assert.throws(
        () => by.read(got(text, url, method)),
        (error) => error instanceof ApiProblem && error.code === 'INVALID_TOKEN',
      );
    refuses(readerAt(1_000_000), 'DELETE', '/api/v1/account');
    refuses(readerAt(1_000_000), 'GET', '/api/v1/account?all');
    refuses(readerAt(1_000_000, 'another'), 'GET', '/api/v1/account');
    refuses(readerAt(1_031_000), 'GET', '/api/v1/account');
    refuses(readerAt(969_000), 'GET', '/api/v1/account');
    for (const text of ['', '.', 'a.b', header.split('.')[0] ?? '', `${header}x`])
      refuses(readerAt(1_000_000), 'GET', '/api/v1/account', text);
  });

  test('fault 81: is accepted once, at the server it is for', () => {
    const reader = readerAt(1_000_000);
    const header = vouching.vouch(kim, sentTo('/x'));
    assert.ok(reader.read(got(header, '/x')));
    assert.throws(() => reader.read(got(header, '/x')), /It was used before/);
    const elsewhere = vouching.vouch(kim, sentTo('/x', { server: 'http://10.0.0.6:7420' }));
    assert.throws(() => reader.read(got(elsewhere, '/x')), /It is for http:\/\/10\.0\.0\.6:7420, and this is http:\/\/10\.0\.0\.5:7420/);
    const [one, other] = [new Vouching('secret', () => 1_000_000), new Vouching('secret', () => 1_000_000)];
    for (const each of [one, other, one]) assert.ok(reader.read(got(each.vouch(kim, sentTo('/x')), '/x')));
  });

  test('fault 81: no nonce is accepted twice, however many there are, and a bounded number is kept', () => {
    const used = fc.record({ nonce: fc.nat(30).map(String), age: fc.integer({ min: -5, max: 5 }), passed: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(used, { maxLength: 200 }), fc.integer({ min: 1, max: 20 }), (uses, max) => {
        const window = new NonceWindow(5_000, 0, max);
        const madeAt = new Map<string, number>();
        const accepted = new Set<string>();
        let now = 1_000_000;
        for (const { nonce, age, passed } of uses) {
          now += passed * 1_000;
          // The creation time is signed together with the nonce.
          const at = madeAt.get(nonce) ?? now - age * 1_000;
          madeAt.set(nonce, at);
          if (Math.abs(now - at) > 5_000) continue;
          if (!window.accept(nonce, at, now)) continue;
          assert.ok(!accepted.has(nonce));
          accepted.add(nonce);
          assert.ok(window.size <= max);
        }
      }),
    );
    const window = new NonceWindow(30_000, 0);
    assert.ok(Array.from({ length: 1_000 }, (_, index) => window.accept(String(index), 1_000_000, 1_000_000)).every((one) => one));
  });

  test('is accepted after the clocks of gateway and server were set back, once', () => {
    let now = 1_000_000_000;
    const clock = () => now;
    const [gateway, server] = [new Vouching('secret', clock), new VouchReader('secret', clock, SERVER)];
    const read = (header: string) => server.read(got(header, '/x'));
    assert.ok(read(gateway.vouch(kim, sentTo('/x'))));
    for (const backMs of [60_000, 3_600_000]) {
      now -= backMs;
      const header = gateway.vouch(kim, sentTo('/x'));
      assert.ok(read(header));
      now += 1_000;
      assert.throws(() => read(header), /used before/);
      assert.ok(read(gateway.vouch(kim, sentTo('/x'))));
    }
  });

  test('fault 81: is not accepted again after a restart of the server', () => {
    let now = 1_000_000;
    const clock = () => now;
    const header = new Vouching('secret', clock).vouch(kim, sentTo('/x'));
    assert.ok(new VouchReader('secret', clock, SERVER).read(got(header, '/x')));
    now += 3_000;
    const restarted = new VouchReader('secret', clock, SERVER);
    assert.throws(
      () => restarted.read(got(header, '/x')),
      (error) => error instanceof ApiProblem && error.code === 'INVALID_TOKEN',
    );
    assert.ok(restarted.read(got(new Vouching('secret', clock).vouch(kim, sentTo('/x')), '/x')));
  });

  test('is refused when a character of it is changed', () => {
    const header = vouching.vouch(kim, sentTo('/'));
    const [payload = ''] = header.split('.');
    fc.assert(
      fc.property(fc.nat(payload.length - 1), fc.constantFrom(...'ABCxyz019-_'), (at, character) => {
        fc.pre(header[at] !== character);
        const changed = header.slice(0, at) + character + header.slice(at + 1);
        assert.throws(() => readerAt(1_000_000).read(got(changed, '/')));
      }),
    );
  });

  test('fault 81: a request with another body is refused before its handler runs', async () => {
    const app = fastify();
    respondWithProblems(app);
    const handled: unknown[] = [];
    const reader = readerAt(1_000_000);
    guardRoutes(app, {
      identify: () => kim,
      vouched: reader.read,
      origins: [],
      limiter: new MemoryRateLimiter(() => 0),
      onAuditEvent: () => {},
    });
    app.route({
      method: ['GET', 'POST'],
      url: '/x',
      config: { access: 'public' },
      handler: (request) => handled.push(request.body ?? null),
    });
    const send = async (vouched: string, payload: string | undefined, method: 'GET' | 'POST' = 'POST') => {
      const vouch = vouching.vouch(kim, sentTo('/x', { method, body: vouched }));
      const headers = { [VOUCH_HEADER]: vouch, ...(payload !== undefined && { 'content-type': 'application/json' }) };
      return (await app.inject({ method, url: '/x', headers, ...(payload !== undefined && { payload }) })).statusCode;
    };
    const body = JSON.stringify({ role: 'viewer', name: 'Å'.repeat(40_000) });
    assert.equal(await send(body, body), 200);
    assert.equal(await send('', undefined), 200);
    assert.equal(await send('', undefined, 'GET'), 200);
    assert.equal(handled.length, 3);
    assert.equal(await send(body, body.replace('viewer', 'owner')), 401);
    assert.equal(await send(body, undefined), 401);
    assert.equal(await send('', body), 401);
    assert.equal(handled.length, 3);
    await app.close();
  });
});
