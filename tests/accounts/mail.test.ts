import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccessToken, Account, AuditEntry, Invitation, TwoFactorSetup } from '@millrace/contracts';
import { TOTP } from 'otpauth';
import { WITHOUT_WORLD } from '../server.ts';
import { type Mailbox, startMailbox, tokenIn } from './mailbox.ts';
import { type Guarded, PASSWORD, startGuarded, wordIn } from './visitor.ts';

/*
 * Functions that need mail, with a real mail server.
 */

describe('with a mail server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-mail-'));
  let mailbox: Mailbox;
  let guarded: Guarded;
  before(async () => {
    mailbox = await startMailbox();
    guarded = await startGuarded(folder, {
      ...WITHOUT_WORLD,
      ...mailbox.env,
      MILLRACE_ACCOUNTS__SIGN_UP: 'open',
    });
  });
  after(async () => {
    await guarded.server.stop();
    await mailbox.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const letterTo = (address: string, page: string) => mailbox.letterTo(address, page);

  test('an address is verified by the link before the first sign-in', async () => {
    const visitor = guarded.visitor();
    const wish = { name: 'Park', email: 'park@example.com', password: PASSWORD };
    assert.deepEqual(await visitor.get('POST', '/auth/sign-up', wish), { status: 'verify-email' });
    assert.equal(await visitor.refusal('GET', '/account'), 'UNAUTHENTICATED');
    assert.equal(await visitor.refusal('POST', '/auth/sign-in', { email: wish.email, password: PASSWORD }), 'FORBIDDEN');
    const text = await letterTo('park@example.com', 'verify-email?');
    assert.match(text, /확인/);
    assert.equal(await visitor.refusal('POST', '/auth/verify-email', { token: `${tokenIn(text)}x` }), 'INVALID_LINK');
    assert.deepEqual(await visitor.get('POST', '/auth/verify-email', { token: tokenIn(text) }), { status: 'signed-in' });
    const { role, user } = await visitor.get<Account>('GET', '/account');
    assert.equal(role, 'viewer');
    const lines = await guarded.owner.get<AuditEntry[]>('GET', '/tenants/main/audit');
    assert.deepEqual(
      lines.filter((line) => line.user === user).map(({ action, detail }) => [action, detail]),
      [
        ['signed in', { by: 'e-mail verification' }],
        ['user joined', { role: 'viewer' }],
      ],
    );
  });

  test('sign-up with a known address reveals nothing, and its owner gets a mail', async () => {
    const wish = { name: 'Thief', email: 'owner@example.com', password: PASSWORD };
    const fresh = { name: 'New', email: 'new@example.com', password: PASSWORD };
    const answers = [
      await guarded.visitor().get('POST', '/auth/sign-up', wish),
      await guarded.visitor().get('POST', '/auth/sign-up', fresh),
    ];
    assert.deepEqual(answers[0], answers[1]);
    assert.match(await letterTo('owner@example.com', 'sign-in'), /already has one/);
  });

  test('a reset link sets a new password once, and all sessions end', async () => {
    const member = await guarded.member('trader');
    const { email } = await member.get<Account>('GET', '/account');
    const { accessToken } = await member.get<AccessToken>('POST', '/auth/token');
    await guarded.visitor().get('POST', '/auth/forgot-password', { email });
    const token = tokenIn(await letterTo(email as string, 'reset-password?'));
    const next = 'quite another mill this is';
    assert.equal(await guarded.visitor().refusal('POST', '/auth/reset-password', { token, password: 'short' }), 'PASSWORD_REJECTED');
    await guarded.visitor().get('POST', '/auth/reset-password', { token, password: next });
    assert.equal(await guarded.visitor().refusal('POST', '/auth/reset-password', { token, password: next }), 'INVALID_LINK');
    assert.equal(await member.refusal('GET', '/account'), 'UNAUTHENTICATED');
    const bearer = guarded.visitor({ authorization: `Bearer ${accessToken}` });
    assert.equal(await bearer.refusal('GET', '/account'), 'INVALID_TOKEN');
    await guarded.visitor().signIn(email as string, next);
    assert.match(await letterTo(email as string, 'account'), /password was changed/);
  });

  test('users are notified of changed credentials', async () => {
    const member = await guarded.member('viewer');
    const { email } = await member.get<Account>('GET', '/account');
    await member.get('POST', '/account/password', { current: PASSWORD, next: 'a third mill in the valley' });
    assert.match(await letterTo(email as string, 'account'), /비밀번호가 변경되었습니다/);
    const { uri } = await member.get<TwoFactorSetup>('POST', '/account/two-factor', { password: 'a third mill in the valley' });
    const secret = new URL(uri).searchParams.get('secret') ?? '';
    const code = new TOTP({ secret }).generate();
    await member.get('POST', '/account/two-factor/confirm', { code });
    assert.match(await letterTo(email as string, 'account'), /Two-factor authentication was turned on/);
    // A used code is tried again.
    const thief = guarded.visitor();
    assert.deepEqual(await thief.signIn(email as string, 'a third mill in the valley'), { status: 'two-factor' });
    assert.equal(await thief.refusal('POST', '/auth/two-factor', { code }), 'INVALID_CODE');
    assert.match(await letterTo(email as string, 'account'), /was used again, and refused/);
    const lines = await guarded.owner.get<AuditEntry[]>('GET', '/tenants/main/audit');
    assert.ok(lines.some(({ action }) => action === 'code used twice'));
    await member.get('POST', '/account/two-factor/disable', { password: 'a third mill in the valley' });
    assert.match(await letterTo(email as string, 'account'), /was turned off/);
  });

  test('an invitation is sent to its address', async () => {
    const { link } = await guarded.owner.get<Invitation>('POST', '/tenants/main/invitations', {
      role: 'operator',
      email: 'choi@example.com',
    });
    const text = await letterTo('choi@example.com', 'sign-up?');
    assert.ok(text.includes(link));
    const member = guarded.visitor();
    await member.signUp('Choi', 'choi@example.com', wordIn(link));
    assert.equal((await member.get<Account>('GET', '/account')).role, 'operator');
  });
});
