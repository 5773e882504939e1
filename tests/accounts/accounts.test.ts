import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccessToken, Account, ApiKey, AuditEntry, Invitation, TwoFactorSetup, User, UserSession, Wire } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { type TOTP, URI } from 'otpauth';
import { WITHOUT_WORLD } from '../server.ts';
import { type Guarded, PASSWORD, startGuarded, type Visitor, wordIn } from './visitor.ts';

/*
 * Users of a running server, with the requests of browsers and programs.
 */

describe('accounts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-accounts-'));
  let guarded: Guarded;
  let owner: Visitor;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
    owner = guarded.owner;
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('the first user signs up with the owner link, once, and is the administrator of the home tenant', async () => {
    const account = await owner.get<Account>('GET', '/account');
    assert.deepEqual([account.role, account.tenant, account.email, account.kind], ['admin', 'main', 'owner@example.com', 'session']);
    const [link = ''] = /http\S+invitation=\S+/.exec(guarded.server.errors()) ?? [];
    const second = { name: 'Second', email: 'second@example.com', password: PASSWORD, invitation: wordIn(link) };
    assert.equal(await guarded.visitor().refusal('POST', '/auth/sign-up', second), 'INVALID_LINK');
  });

  test('sign-up needs an invitation for this address', async () => {
    const visitor = guarded.visitor();
    const wish = { name: 'Lee', email: 'lee@example.com', password: PASSWORD };
    assert.equal(await visitor.refusal('POST', '/auth/sign-up', wish), 'FORBIDDEN');
    const { link } = await owner.get<Invitation>('POST', '/tenants/main/invitations', { role: 'trader', email: 'Park@example.com' });
    assert.equal(await visitor.refusal('POST', '/auth/sign-up', { ...wish, invitation: wordIn(link) }), 'INVALID_LINK');
    assert.equal(
      await visitor.refusal('POST', '/auth/sign-up', { ...wish, email: 'park@example.com', password: 'short', invitation: wordIn(link) }),
      'PASSWORD_REJECTED',
    );
    // A refused request has not used the invitation.
    await visitor.signUp('Park', 'PARK@example.com', wordIn(link));
    assert.equal((await visitor.get<Account>('GET', '/account')).role, 'trader');
  });

  test('sign-in answers a wrong password and an unknown address alike', async () => {
    const answers = await Promise.all(
      ['owner@example.com', 'nobody@example.com'].map(async (email) => {
        const response = await guarded.visitor().ask('POST', '/api/v1/auth/sign-in', { email, password: 'not this one, surely' });
        const { traceId, ...problem } = (await response.json()) as Record<string, unknown>;
        return { status: response.status, problem, isNamed: traceId !== undefined };
      }),
    );
    assert.deepEqual(answers[0], answers[1]);
    assert.equal(answers[0]?.status, 401);
    for (const path of ['/auth/forgot-password', '/auth/verification'])
      assert.deepEqual(await guarded.visitor().get('POST', path, { email: 'nobody@example.com' }), undefined);
  });

  test('guessing is delayed more and more, and locks nobody else out', async () => {
    const guessed = await guarded.member('viewer');
    const { email } = await guessed.get<Account>('GET', '/account');
    const guesser = guarded.visitor();
    for (let guess = 0; guess < 5; guess++)
      assert.equal(await guesser.refusal('POST', '/auth/sign-in', { email, password: `guess number ${guess}` }), 'INVALID_CREDENTIALS');
    const response = await guesser.ask('POST', '/api/v1/auth/sign-in', { email, password: PASSWORD });
    assert.equal(response.status, 429);
    assert.ok(Number(response.headers.get('retry-after')) > 5);
    assert.equal((await guessed.get<Account>('GET', '/account')).email, email);
  });

  test('an authenticator is set up and required, and a recovery code replaces it once', async () => {
    const member = await guarded.member('trader');
    const { email } = await member.get<Account>('GET', '/account');
    assert.equal(await member.refusal('POST', '/account/two-factor', { password: 'wrong one, sorry' }), 'INCORRECT_PASSWORD');
    const { uri, recoveryCodes } = await member.get<TwoFactorSetup>('POST', '/account/two-factor', { password: PASSWORD });
    const authenticator = URI.parse(uri) as TOTP;
    assert.equal(authenticator.issuer, 'Millrace');
    assert.equal(recoveryCodes.length, 10);
    // Nothing changes before a code is confirmed.
    assert.deepEqual(await guarded.visitor().signIn(email as string), { status: 'signed-in' });
    const wrong = String((Number(authenticator.generate()) + 1) % 1_000_000).padStart(6, '0');
    assert.equal(await member.refusal('POST', '/account/two-factor/confirm', { code: wrong }), 'INCORRECT_CODE');
    await member.get('POST', '/account/two-factor/confirm', { code: authenticator.generate() });
    assert.equal((await member.get<Account>('GET', '/account')).twoFactorEnabled, true);

    const again = guarded.visitor();
    assert.deepEqual(await again.signIn(email as string), { status: 'two-factor' });
    assert.equal(await again.refusal('GET', '/account'), 'UNAUTHENTICATED');
    assert.equal(await again.refusal('POST', '/auth/two-factor', { code: wrong }), 'INVALID_CODE');
    const next = authenticator.generate({ timestamp: Date.now() + 30_000 });
    await again.get('POST', '/auth/two-factor', { code: next });
    assert.equal((await again.get<Account>('GET', '/account')).email, email);

    // A code works once, also the one that confirmed the setup.
    const looker = guarded.visitor();
    await looker.signIn(email as string);
    assert.equal(await looker.refusal('POST', '/auth/two-factor', { code: next }), 'INVALID_CODE');
    assert.equal(await looker.refusal('GET', '/account'), 'UNAUTHENTICATED');

    const recovered = guarded.visitor();
    await recovered.signIn(email as string);
    await recovered.get('POST', '/auth/two-factor', { code: recoveryCodes[0] });
    assert.equal((await recovered.get<Account>('GET', '/account')).email, email);
    const twice = guarded.visitor();
    await twice.signIn(email as string);
    assert.equal(await twice.refusal('POST', '/auth/two-factor', { code: recoveryCodes[0] }), 'INVALID_CODE');

    await recovered.get('POST', '/account/two-factor/disable', { password: PASSWORD });
    assert.deepEqual(await guarded.visitor().signIn(email as string), { status: 'signed-in' });
  });

  test('sessions are listed and ended, one’s own only', async () => {
    const member = await guarded.member('viewer');
    const { email } = await member.get<Account>('GET', '/account');
    const elsewhere = guarded.visitor({ 'user-agent': 'another browser' });
    await elsewhere.signIn(email as string);
    const sessions = await member.get<UserSession[]>('GET', '/account/sessions');
    assert.deepEqual(
      sessions.map(({ agent, isThis }) => [agent, isThis]).sort(),
      [
        ['another browser', false],
        ['node', true],
      ].sort(),
    );
    assert.ok(sessions.every(({ remote }) => remote === '127.0.0.1'));
    const other = sessions.find(({ isThis }) => !isThis)?.id;
    assert.equal(await owner.refusal('DELETE', `/account/sessions/${other}`), 'NOT_FOUND');
    await member.get('DELETE', `/account/sessions/${other}`);
    assert.equal(await elsewhere.refusal('GET', '/account'), 'UNAUTHENTICATED');
    assert.equal((await member.get<UserSession[]>('GET', '/account/sessions')).length, 1);
  });

  test('a new password ends all other sessions', async () => {
    const member = await guarded.member('viewer');
    const { email } = await member.get<Account>('GET', '/account');
    const elsewhere = guarded.visitor();
    await elsewhere.signIn(email as string);
    await member.get('POST', '/account/password', { current: PASSWORD, next: 'another mill, another stream' });
    assert.equal(await elsewhere.refusal('GET', '/account'), 'UNAUTHENTICATED');
    assert.equal((await member.get<Account>('GET', '/account')).email, email);
    assert.equal(await guarded.visitor().refusal('POST', '/auth/sign-in', { email, password: PASSWORD }), 'INVALID_CREDENTIALS');
    await guarded.visitor().signIn(email as string, 'another mill, another stream');
  });

  test('an access token identifies its user, can be verified with the published keys, and ends with its session', async () => {
    const member = await guarded.member('trader');
    const { accessToken, expiresAt } = await member.get<Wire<AccessToken>>('POST', '/auth/token');
    const keys = createRemoteJWKSet(new URL(`${guarded.server.url}/api/v1/auth/jwks`));
    const { payload, protectedHeader } = await jwtVerify(accessToken, keys, { issuer: guarded.server.url, audience: guarded.server.url });
    assert.equal(protectedHeader.alg, 'EdDSA');
    assert.deepEqual([payload.tenant, payload.role], ['main', 'trader']);
    assert.ok(Math.abs((payload.exp ?? 0) * 1_000 - Date.parse(expiresAt)) < 5_000 && Date.parse(expiresAt) - Date.now() < 601_000);
    const program = guarded.visitor({ authorization: `Bearer ${accessToken}` });
    assert.equal((await program.get<Account>('GET', '/account')).kind, 'token');
    assert.equal(await program.refusal('POST', '/auth/token'), 'FORBIDDEN');
    await member.get('POST', '/auth/sign-out');
    assert.equal(await program.refusal('GET', '/account'), 'INVALID_TOKEN');
  });

  test('a key has the permissions of its scopes, until it expires or is revoked', async () => {
    const member = await guarded.member('trader');
    assert.equal(await member.refusal('POST', '/account/keys', { name: 'too much', scopes: ['platform:operate'] }), 'FORBIDDEN');
    assert.equal(
      await member.refusal('POST', '/account/keys', { name: 'past', scopes: ['market:read'], expiresAt: '1970-01-01T00:00:01Z' }),
      'BAD_REQUEST',
    );
    const { key, ...about } = await member.key('bot', ['market:read']);
    assert.ok(key.startsWith(about.start) && key.length > 40);
    const program = guarded.visitor({ 'x-api-key': key });
    assert.ok((await program.get<object[]>('GET', '/instruments')).length > 0);
    assert.equal(await program.refusal('GET', '/account'), 'FORBIDDEN');
    const [listed] = await member.get<ApiKey[]>('GET', '/account/keys');
    assert.ok(listed?.lastUsedAt && !JSON.stringify(listed).includes(key));
    // A key cannot create keys, whatever its scopes are.
    const wide = await member.key('wide', ['account:read', 'account:write', 'market:read']);
    const widely = guarded.visitor({ authorization: `Bearer ${wide.key}` });
    assert.equal(await widely.refusal('POST', '/account/keys', { name: 'more', scopes: ['market:read'] }), 'FORBIDDEN');
    // It cannot invite users either, who could have more permissions.
    const manager = guarded.visitor({ 'x-api-key': (await owner.key('manager', ['tenant:read', 'tenant:manage', 'platform:admin'])).key });
    await manager.get('GET', '/tenants/main/users');
    assert.equal(await manager.refusal('POST', '/tenants/main/invitations', { role: 'admin' }), 'FORBIDDEN');
    assert.equal(await manager.refusal('POST', '/tenants', { id: 'x', name: 'x', tier: 'free' }), 'FORBIDDEN');
    assert.equal(await owner.refusal('DELETE', `/account/keys/${about.id}`), 'NOT_FOUND');
    await member.get('DELETE', `/account/keys/${about.id}`);
    assert.equal(await program.refusal('GET', '/instruments'), 'INVALID_TOKEN');
    const brief = await member.get<{ key: string }>('POST', '/account/keys', {
      name: 'brief',
      scopes: ['market:read'],
      expiresAt: new Date(Date.now() + 1_500).toISOString(),
    });
    const briefly = guarded.visitor({ 'x-api-key': brief.key });
    await briefly.get('GET', '/instruments');
    await until(async () => (await briefly.ask('GET', '/api/v1/instruments')).status !== 200, 'the key expires');
    assert.equal(await briefly.refusal('GET', '/instruments'), 'INVALID_TOKEN');
  });

  test('a revoked role and a disabled user lose their rights at once', async () => {
    const member = await guarded.member('operator');
    const { user } = await member.get<Account>('GET', '/account');
    const { key } = await member.key('ops', ['platform:read']);
    const program = guarded.visitor({ 'x-api-key': key });
    const { accessToken } = await member.get<AccessToken>('POST', '/auth/token');
    const bearer = guarded.visitor({ authorization: `Bearer ${accessToken}` });
    for (const one of [member, program, bearer]) await one.get('GET', '/sources');
    await owner.get('PATCH', `/tenants/main/users/${user}`, { role: 'viewer' });
    assert.equal(await member.refusal('GET', '/sources'), 'FORBIDDEN');
    assert.equal(await program.refusal('GET', '/sources'), 'FORBIDDEN');
    assert.equal(await bearer.refusal('GET', '/sources'), 'INVALID_TOKEN');
    await owner.get('PATCH', `/tenants/main/users/${user}`, { disabled: true });
    assert.equal(await member.refusal('GET', '/account'), 'UNAUTHENTICATED');
    assert.equal(await program.refusal('GET', '/instruments'), 'INVALID_TOKEN');
    const { email } = (await owner.get<User[]>('GET', '/tenants/main/users')).find(({ id }) => id === user) as User;
    assert.equal(await guarded.visitor().refusal('POST', '/auth/sign-in', { email, password: PASSWORD }), 'FORBIDDEN');
    await owner.get('PATCH', `/tenants/main/users/${user}`, { disabled: false });
    await guarded.visitor().signIn(email);
  });

  test('the last administrator cannot lose the role', async () => {
    const { user } = await owner.get<Account>('GET', '/account');
    assert.equal(await owner.refusal('PATCH', `/tenants/main/users/${user}`, { role: 'viewer' }), 'CONFLICT');
    assert.equal(await owner.refusal('PATCH', `/tenants/main/users/${user}`, { disabled: true }), 'CONFLICT');
  });

  test('the audit log is a hash chain of actions with their user and address', async () => {
    const lines = await owner.get<AuditEntry[]>('GET', '/tenants/main/audit?limit=1000');
    assert.deepEqual(
      lines.map(({ number }) => number),
      Array.from({ length: lines.length }, (_none, index) => lines.length - index),
    );
    for (const action of ['user joined', 'user invited', 'key created', 'key revoked', 'two-factor enabled', 'user changed'])
      assert.ok(
        lines.some((line) => line.action === action && line.remote === '127.0.0.1' && line.trace.length > 10),
        action,
      );
    assert.equal(new Set(lines.map(({ hash }) => hash)).size, lines.length);
  });

  test('an unavailable database is reported without the content of queries, and recovery needs no action', async () => {
    const giveBack = await guarded.server.stopDatabase();
    const unknown = guarded.visitor({ 'x-api-key': `mill_never-seen-before${'x'.repeat(26)}` });
    // Unknown keys need a lookup; a cached session needs the tables for lists.
    for (const [visitor, path] of [
      [unknown, '/instruments'],
      [owner, '/account/keys'],
      [owner, '/tenants/main/users'],
    ] as const) {
      const response = await visitor.ask('GET', `/api/v1${path}`);
      const text = await response.text();
      assert.equal(response.status, 503, `${path}: ${text}`);
      assert.match(text, /DATABASE_UNAVAILABLE/);
      assert.doesNotMatch(text, /select|params|ECONN|never-seen/i);
    }
    await giveBack();
    await until(async () => (await owner.ask('GET', '/api/v1/account/keys')).status === 200, 'the tables answer again');
    assert.equal(await unknown.refusal('GET', '/instruments'), 'INVALID_TOKEN');
    assert.doesNotMatch(guarded.server.errors(), /params:|"params"/);
  });

  test('secrets are in no log line, metric, event or export', async () => {
    const { key } = await owner.key('greppable', ['market:read']);
    await guarded.visitor({ 'x-api-key': key }).get('GET', '/instruments');
    const files = readdirSync(join(folder, 'data'), { recursive: true, withFileTypes: true })
      // Tables have only hashes, which is checked too. Sockets and locks have no content.
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    const places: [string, string][] = [
      ['the log', guarded.server.errors()],
      ['the metrics', await (await owner.ask('GET', '/metrics')).text()],
      ['the audit log', await (await owner.ask('GET', '/api/v1/tenants/main/audit/export')).text()],
      ...files.map((file): [string, string] => [file, readFileSync(file, 'latin1')]),
    ];
    // The files of an embedded database are among them.
    assert.ok(files.length > (process.env.TEST_POSTGRES ? 5 : 50), `${files.length} files`);
    for (const secret of [PASSWORD, 'another mill, another stream', key])
      for (const [place, text] of places) assert.ok(!text.includes(secret), `${secret.slice(0, 8)}… is in ${place}`);
  });
});
