import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccessToken, Account, Invitation, SigningKeys } from '@millrace/contracts';
import { exportSPKI, generateKeyPair, importJWK, SignJWT, UnsecuredJWT } from 'jose';
import { WITHOUT_WORLD } from '../server.ts';
import { type Guarded, PASSWORD, startGuarded, type Visitor, wordIn } from './visitor.ts';

/*
 * Attacks on authentication and on the HTTP server.
 */

describe('an attacker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-attacker-'));
  let guarded: Guarded;
  let victim: Visitor;
  let claims: Record<string, unknown>;
  let kid: string;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
    victim = await guarded.member('admin');
    const { accessToken } = await victim.get<AccessToken>('POST', '/auth/token');
    const [header = '', payload = ''] = accessToken.split('.');
    claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    kid = JSON.parse(Buffer.from(header, 'base64url').toString()).kid;
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const withToken = (token: string) => guarded.visitor({ authorization: `Bearer ${token}` }).refusal('GET', '/account');

  test('cannot forge an access token: unsigned, with another algorithm, with the public key as secret, or with another key', async () => {
    assert.equal(await withToken(new UnsecuredJWT(claims).encode()), 'INVALID_TOKEN');
    const { keys } = await guarded.visitor().get<SigningKeys>('GET', '/auth/jwks');
    const published = keys.find((key) => key.kid === kid) as Record<string, string>;
    const pem = await exportSPKI((await importJWK({ ...published }, 'EdDSA')) as CryptoKey);
    for (const secret of [pem, published.x as string, Buffer.from(published.x as string, 'base64url')]) {
      const head = Buffer.from(JSON.stringify({ alg: 'HS256', kid })).toString('base64url');
      const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
      const tag = createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url');
      assert.equal(await withToken(`${head}.${body}.${tag}`), 'INVALID_TOKEN');
    }
    const own = await generateKeyPair('EdDSA', { extractable: true });
    for (const header of [
      { alg: 'EdDSA', kid },
      { alg: 'EdDSA' },
      { alg: 'EdDSA', kid: '../../../../dev/null' },
      { alg: 'EdDSA', jku: 'https://evil.example/jwks', kid: 'mine' },
    ])
      assert.equal(await withToken(await new SignJWT(claims).setProtectedHeader(header).sign(own.privateKey)), 'INVALID_TOKEN');
  });

  test('cannot change a token', async () => {
    const viewer = await guarded.member('viewer');
    const { accessToken } = await viewer.get<AccessToken>('POST', '/auth/token');
    const [head, payload = '', tag] = accessToken.split('.');
    const risen = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), role: 'admin' };
    assert.equal(await withToken(`${head}.${Buffer.from(JSON.stringify(risen)).toString('base64url')}.${tag}`), 'INVALID_TOKEN');
  });

  test('cannot fixate a session: sign-in creates a new one, and unsigned cookies are ignored', async () => {
    const fixed = guarded.visitor();
    fixed.jar.set('millrace.session_token', 'known-to-the-attacker.c2lnbmF0dXJl');
    const { email } = await victim.get<Account>('GET', '/account');
    await fixed.signIn(email as string);
    assert.notEqual(fixed.jar.get('millrace.session_token'), 'known-to-the-attacker.c2lnbmF0dXJl');
    const before_ = fixed.jar.get('millrace.session_token');
    await fixed.signIn(email as string);
    assert.notEqual(fixed.jar.get('millrace.session_token'), before_);
    const forged = guarded.visitor();
    forged.jar.set('millrace.session_token', (before_ as string).split('.')[0] as string);
    assert.equal(await forged.refusal('GET', '/account'), 'UNAUTHENTICATED');
  });

  test('cannot use a session from a page of another site, or sign a user in there', async () => {
    for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }]) {
      assert.equal(await victim.refusal('POST', '/account/keys', { name: 'x', scopes: ['market:read'] }, headers), 'ORIGIN_NOT_ALLOWED');
      assert.equal(
        await guarded.visitor().refusal('POST', '/auth/sign-in', { email: 'a@b.example', password: PASSWORD }, headers),
        'ORIGIN_NOT_ALLOWED',
      );
    }
    await victim.get('PATCH', '/account', { name: 'Victim' });
    const response = await victim.ask('GET', '/api/v1/account', undefined, { origin: 'https://evil.example' });
    assert.equal(response.headers.get('access-control-allow-credentials'), null);
  });

  test('cannot set undeclared fields', async () => {
    const { link } = await guarded.owner.get<Invitation>('POST', '/tenants/main/invitations', { role: 'viewer' });
    const wish = { name: 'M', email: 'mass@example.com', password: PASSWORD, invitation: wordIn(link) };
    for (const more of [
      { role: 'admin' },
      { tenant: 'acme' },
      { emailVerified: true },
      { disabled: false },
      { __proto__: { role: 'admin' } },
    ])
      if (Object.keys(more).length > 0)
        assert.equal(await guarded.visitor().refusal('POST', '/auth/sign-up', { ...wish, ...more }), 'BAD_REQUEST');
    const member = guarded.visitor();
    await member.signUp('M', 'mass@example.com', wordIn(link));
    assert.equal(await member.refusal('PATCH', '/account', { name: 'M', role: 'admin' }), 'BAD_REQUEST');
    assert.equal((await member.get<Account>('GET', '/account')).role, 'viewer');
  });

  test('cannot try credentials without limit, while valid ones from other addresses work', async () => {
    const { key } = await victim.key('mine', ['market:read']);
    const codes = new Set<string>();
    for (let guess = 0; guess < 80; guess++)
      codes.add(await guarded.visitor({ 'x-api-key': `mill_${guess}` }).refusal('GET', '/instruments'));
    assert.deepEqual([...codes], ['INVALID_TOKEN', 'RATE_LIMITED']);
    assert.equal(await guarded.visitor({ 'x-api-key': key }).refusal('GET', '/instruments'), 'RATE_LIMITED');
    // A user with a session is not delayed by guesses from the same address.
    await victim.get('GET', '/instruments');
  });

  test('cannot inject scripts into a page or frame a page', async () => {
    for (const path of ['/', '/sign-in', '/docs']) {
      const policy = (await guarded.visitor().ask('GET', path)).headers.get('content-security-policy') ?? '';
      for (const part of [
        /script-src 'self'( 'sha256-[^']+')* *(;|$)/,
        /frame-ancestors 'none'|default-src/,
        /object-src 'none'|default-src/,
      ])
        assert.match(policy, part, `${path}: ${policy}`);
      assert.doesNotMatch(policy, /script-src[^;]*unsafe/, path);
    }
  });

  test('cannot read files outside of the console', async () => {
    const secret = /[A-Za-z0-9_-]{43}/;
    for (const path of [
      '/../../data/secrets/identity',
      '/..%2f..%2fdata%2fsecrets%2fidentity',
      '/%2e%2e/%2e%2e/data/secrets/identity',
      '/assets/..%5c..%5cdata%5csecrets%5cidentity',
      '/assets/%00',
      '//etc/passwd',
      '/docs/static/..%2f..%2f..%2fpackage.json',
    ]) {
      const answer = await raw(guarded.server.url, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      assert.doesNotMatch(answer.split('\r\n\r\n').slice(1).join(''), /root:|"version"/, path);
      assert.ok(!secret.test(answer.split('\r\n\r\n')[1] ?? '') || /<!doctype html/i.test(answer) || answer.includes('problem+json'), path);
    }
  });

  test('cannot smuggle requests: messages with an ambiguous length are refused', async () => {
    const smuggled = 'GET /api/v1/account HTTP/1.1\r\nhost: x\r\n\r\n';
    for (const head of [
      `content-length: ${smuggled.length}\r\ntransfer-encoding: chunked`,
      'content-length: 5\r\ncontent-length: 6',
      'transfer-encoding: chunked\r\ntransfer-encoding: identity',
      'transfer-encoding: xchunked',
      ' content-length: 5',
    ]) {
      const answer = await raw(guarded.server.url, `POST /api/v1/auth/sign-in HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n0\r\n\r\n${smuggled}`);
      assert.equal((answer.match(/HTTP\/1\.1 /g) ?? []).length, 1, `${head}: ${answer}`);
      assert.match(answer, /^HTTP\/1\.1 (400|501)/, head);
    }
  });

  test('fault 28: requests with two hosts or lengths are refused', async () => {
    const ask = (target: string, head: string) => raw(guarded.server.url, `GET ${target} HTTP/1.1\r\n${head}\r\nconnection: close\r\n\r\n`);
    for (const head of [
      'host: a\r\nhost: a',
      'host: a\r\nHost: b',
      'host:',
      'host: a/b',
      'host: me@a',
      'accept: */*',
      'host: a\r\ncontent-length: 0\r\ncontent-length: 0',
    ])
      for (const target of ['/health/live', '/api/v1/nothing', '/']) assert.match(await ask(target, head), /^HTTP\/1\.1 400/, head);
    const upgrade = 'connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==';
    for (const target of ['/api/v1/socket', '/api/v1/world/socket', '/api/v1/graphql'])
      assert.match(await ask(target, `host: a\r\nhost: a\r\n${upgrade}`), /^HTTP\/1\.1 400/, target);
  });

  test('fault 70: a target in absolute-form is read like origin-form, and others are refused', async () => {
    const ask = (target: string) => raw(guarded.server.url, `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    for (const target of ['/health/live', 'http://x/health/live', 'HTTPS://other:1/health/live?a=1'])
      assert.match(await ask(target), /^HTTP\/1\.1 200/, target);
    for (const target of ['*', 'health/live', 'http://me@x/health/live', 'ftp://x/health/live', '/health/live#a', '/health/live?a#b'])
      assert.match(await ask(target), /^HTTP\/1\.1 400/, target);
  });

  test('cannot exhaust memory or connections: too large and too slow bodies are ended', async () => {
    const response = await guarded.visitor().ask('POST', '/api/v1/auth/sign-in', { email: 'a@b.example', password: 'x'.repeat(2_000_000) });
    assert.equal(response.status, 413);
    const started = performance.now();
    const answer = await raw(
      guarded.server.url,
      'POST /api/v1/auth/sign-in HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{',
      60_000,
    );
    assert.match(answer, /^HTTP\/1\.1 408/);
    assert.ok(performance.now() - started < 40_000);
  });

  test('cannot tell from the duration of sign-in whether an address exists', async () => {
    const time = async (email: string) => {
      const started = performance.now();
      await guarded.visitor().ask('POST', '/api/v1/auth/sign-in', { email, password: 'certainly not this' });
      return performance.now() - started;
    };
    /** Shortest time for an unknown address, as a share of that for a user. Other work on the machine only makes requests slower. */
    const measureRatio = async (attempt: number) => {
      const { email } = await (await guarded.member('viewer')).get<Account>('GET', '/account');
      let [known, unknown] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
      for (let round = 0; round < 4; round++) {
        known = Math.min(known, await time(email as string));
        unknown = Math.min(unknown, await time(`nobody-${attempt}-${round}@example.com`));
      }
      return unknown / known;
    };
    // Both hash a password, which takes far longer than the rest. Without that, an unknown address is answered far sooner in every attempt.
    const ratios: number[] = [];
    while (ratios.length < 5 && !ratios.some((ratio) => ratio > 0.5 && ratio < 2)) ratios.push(await measureRatio(ratios.length));
    const last = ratios.at(-1) as number;
    assert.ok(
      last > 0.5 && last < 2,
      `an unknown address takes ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')} of the time of a user`,
    );
  });
});

/** Sends raw bytes. @returns everything received until the connection ends */
async function raw(url: string, bytes: string, withinMs = 5_000): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.on('error', () => {});
  socket.write(bytes);
  const late = setTimeout(() => socket.destroy(), withinMs);
  await once(socket, 'close');
  clearTimeout(late);
  return answer;
}
