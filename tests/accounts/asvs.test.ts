import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Account, TwoFactorSetup } from '@millrace/contracts';
import { TOTP } from 'otpauth';
import { startServer, WITHOUT_WORLD } from '../server.ts';
import { type Guarded, PASSWORD, startGuarded, type Visitor, wordIn } from './visitor.ts';

/*
 * Requirements of the OWASP ASVS that no other test checks; docs/security.md lists all.
 */

describe('OWASP ASVS 4.0.3, level 2', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-asvs-'));
  let guarded: Guarded;
  before(async () => {
    guarded = await startGuarded(folder, {
      ...WITHOUT_WORLD,
      MILLRACE_ACCOUNTS__TWO_FACTOR: 'operators',
      MILLRACE_ACCOUNTS__SIGN_UP: 'open',
    });
  });
  /** A new user by open sign-up, because the owner cannot invite without two-factor authentication. */
  async function signedUp(email: string): Promise<Visitor> {
    const visitor = guarded.visitor();
    await visitor.get('POST', '/auth/sign-up', { name: email, email, password: PASSWORD });
    return visitor;
  }
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('2.1: passwords have 12 to 128 characters of any kind, are not truncated, and are not easy to guess', async () => {
    const visitor = guarded.visitor();
    let made = 0;
    const wish = (password: string) => ({ name: 'Lee Kyungsoo', email: `lee${++made}@example.com`, password });
    for (const [password, why] of [
      ['a mill turn', 'eleven characters'],
      ['x'.repeat(129), 'too many'],
      ['passwordpassword', 'leaked'],
      ['qwertyuiop[]', 'a row of keys'],
      ['kyungsoo1234', 'its own name'],
    ] as const)
      assert.equal(await visitor.refusal('POST', '/auth/sign-up', wish(password)), 'PASSWORD_REJECTED', why);
    const long = `${'물이 흐르면 🎡 '.repeat(14).slice(0, 127)}!`;
    assert.equal(long.length, 128);
    const { email } = wish('');
    await visitor.get('POST', '/auth/sign-up', { name: 'Lee', email, password: long });
    assert.equal(await guarded.visitor().refusal('POST', '/auth/sign-in', { email, password: long.slice(0, -1) }), 'INVALID_CREDENTIALS');
    assert.deepEqual(await guarded.visitor().signIn(email, long), { status: 'signed-in' });
  });

  test('2.6.2: recovery codes have more than 112 bits and are unique', async () => {
    const member = await signedUp('codes@example.com');
    const { recoveryCodes } = await member.get<TwoFactorSetup>('POST', '/account/two-factor', { password: PASSWORD });
    assert.equal(new Set(recoveryCodes).size, 10);
    for (const code of recoveryCodes) assert.ok(code.replaceAll('-', '').length * Math.log2(62) >= 112, code);
  });

  test('3.2, 3.4: a session cookie has 190 bits, is HttpOnly and SameSite, and expires after twelve hours', async () => {
    const email = 'cookie@example.com';
    const member = await signedUp(email);
    const answer = await guarded.visitor().ask('POST', '/api/v1/auth/sign-in', { email, password: PASSWORD });
    const [cookie = ''] = answer.headers.getSetCookie().filter((line) => line.includes('session_token'));
    assert.match(cookie, /HttpOnly/i);
    assert.match(cookie, /SameSite=Lax/i);
    assert.match(cookie, /Path=\//i);
    assert.match(cookie, /Max-Age=43200/i);
    const [, token = ''] = /=([^.%;]+)/.exec(cookie) ?? [];
    assert.ok(token.length * Math.log2(62) >= 190, token);
    const sessions = await member.get<{ createdAt: string; expiresAt: string }[]>('GET', '/account/sessions');
    for (const { createdAt, expiresAt } of sessions) assert.ok(Date.parse(expiresAt) - Date.parse(createdAt) <= 12 * 3_600_000 + 1_000);
  });

  test('3.1.1, 13.1.3: credentials in a URL are not accepted', async () => {
    const { key } = await guarded.owner.key('leak', ['market:read']);
    for (const name of ['key', 'api_key', 'apikey', 'token', 'access_token', 'authorization']) {
      const { status } = await guarded.visitor().ask('GET', `/api/v1/instruments?${name}=${key}`);
      assert.ok(status === 401 || status === 400, `${name}: ${status}`);
    }
  });

  test('4.3.1: where operators need two-factor authentication, they have the rights of a viewer until they enable it', async () => {
    const { twoFactorRequired, role } = await guarded.owner.get<Account>('GET', '/account');
    assert.deepEqual([twoFactorRequired, role], [true, 'admin']);
    const { key } = await guarded.owner.key('early', ['market:read']);
    const token = await guarded.owner.get<{ accessToken: string }>('POST', '/auth/token');
    assert.equal(await guarded.owner.refusal('GET', '/sources'), 'FORBIDDEN');
    assert.equal(await guarded.visitor({ authorization: `Bearer ${token.accessToken}` }).refusal('GET', '/sources'), 'FORBIDDEN');
    assert.equal(await guarded.visitor({ 'x-api-key': key }).refusal('GET', '/sources'), 'FORBIDDEN');
    const { uri } = await guarded.owner.get<TwoFactorSetup>('POST', '/account/two-factor', { password: PASSWORD });
    const secret = new URL(uri).searchParams.get('secret') ?? '';
    await guarded.owner.get('POST', '/account/two-factor/confirm', { code: new TOTP({ secret }).generate() });
    assert.equal((await guarded.owner.get<Account>('GET', '/account')).twoFactorRequired, false);
    await guarded.owner.get('GET', '/sources');
  });

  test('13.1.5, 13.2.5: a body that is not JSON is refused', async () => {
    for (const type of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      const answer = await guarded
        .visitor()
        .ask('POST', '/api/v1/auth/sign-in', { email: 'a@b.c', password: 'x' }, { 'content-type': type });
      assert.equal(answer.status, 415, type);
      assert.equal(((await answer.json()) as { code: string }).code, 'UNSUPPORTED_MEDIA_TYPE');
    }
  });
});

test('3.4.1, 3.4.4: on https the session cookie is Secure and for this host only', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-asvs-tls-'));
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  spawnSync('openssl', ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', '-subj', '/CN=localhost', ...files]);
  const server = await startServer(['up', '--port', '0', '--data', 'data'], {
    cwd: folder,
    env: { ...WITHOUT_WORLD, MILLRACE_DEMO: 'false', MILLRACE_GATEWAY__TLS: JSON.stringify({ certFile: 'cert.pem', keyFile: 'key.pem' }) },
  });
  const ask = (method: string, path: string, body: object | null, cookie = ''): Promise<{ status: number; cookies: string[] }> =>
    new Promise((resolve, reject) => {
      const asked = request(
        `${server.url}/api/v1${path}`,
        { method, rejectUnauthorized: false, headers: { 'content-type': 'application/json', cookie } },
        (answer) => {
          answer.resume();
          resolve({ status: answer.statusCode ?? 0, cookies: answer.headers['set-cookie'] ?? [] });
        },
      );
      asked.on('error', reject);
      asked.end(body === null ? undefined : JSON.stringify(body));
    });
  const [link = ''] = /http\S+invitation=\S+/.exec(server.errors()) ?? [];
  const owner = { name: 'Owner', email: 'owner@example.com', password: PASSWORD, invitation: wordIn(link) };
  const { cookies } = await ask('POST', '/auth/sign-up', owner);
  const [cookie = ''] = cookies.filter((line) => line.includes('session_token'));
  assert.match(cookie, /^__Host-millrace\.session_token=/);
  assert.match(cookie, /; Secure/i);
  assert.doesNotMatch(cookie, /; Domain/i);
  assert.equal((await ask('GET', '/account', null, cookie.split(';')[0])).status, 200);
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});
