import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccessToken, Account, AuditEntry, AuditVerification, Invitation } from '@millrace/contracts';
import { WITHOUT_WORLD } from '../server.ts';
import { type Guarded, PASSWORD, startGuarded, wordIn } from './visitor.ts';

/*
 * Actors stay identifiable, whatever names users choose.
 */

describe('names', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-names-'));
  let guarded: Guarded;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const audit = () => guarded.owner.get<AuditEntry[]>('GET', '/tenants/main/audit?limit=50');

  test('fault 20: the audit log has the user id of the actor, and records name changes', async () => {
    const member = await guarded.member('operator');
    const { user, name } = await member.get<Account>('GET', '/account');
    await member.get('PATCH', '/account', { name: 'Somebody else' });
    await member.get('POST', '/sources/simulator/pause');
    await member.get('POST', '/sources/simulator/resume');
    const lines = await audit();
    const renamed = lines.find(({ action }) => action === 'name changed');
    assert.partialDeepStrictEqual(renamed, { user, actor: name, subject: user, detail: { from: name, to: 'Somebody else' } });
    const operated = lines.filter(({ action }) => action === 'operated');
    assert.ok(operated.length > 0);
    for (const line of operated) assert.partialDeepStrictEqual(line, { user, actor: 'Somebody else' });
    assert.ok(
      lines.every((line) => typeof line.user === 'string'),
      'every line names a user',
    );
    assert.partialDeepStrictEqual(await guarded.owner.get<AuditVerification>('POST', '/tenants/main/audit/verify'), { firstInvalid: null });
  });

  test('fault 27: a user name is visible text and unique within the tenant', async () => {
    const member = await guarded.member('trader');
    const { name: own } = await member.get<Account>('GET', '/account');
    for (const name of ['\u200b\u200b', 'Kim\u202e', 'Kim\nLee', 'a\u0000b', '\u3164'])
      assert.equal(await member.refusal('PATCH', '/account', { name }), 'BAD_REQUEST', JSON.stringify(name));
    for (const name of ['Owner', ' OWNER ', 'Ｏｗｎｅｒ'])
      assert.equal(await member.refusal('PATCH', '/account', { name }), 'NAME_TAKEN', name);
    const { link } = await guarded.owner.get<Invitation>('POST', '/tenants/main/invitations', { role: 'viewer' });
    const wish = { name: 'owner', email: 'second@example.com', password: PASSWORD, invitation: wordIn(link) };
    assert.equal(await guarded.visitor().refusal('POST', '/auth/sign-up', wish), 'NAME_TAKEN');
    // A refused request has not used the invitation.
    await guarded.visitor().signUp('Another', 'second@example.com', wordIn(link));
    // A user may change the spelling of the own name, and an abandoned name is free.
    await member.get('PATCH', '/account', { name: own.toUpperCase() });
    await member.get('PATCH', '/account', { name: '  Lee   Min-ji ' });
    assert.equal((await member.get<Account>('GET', '/account')).name, 'Lee Min-ji');
    const other = await guarded.member('trader');
    await other.get('PATCH', '/account', { name: own });
    // The name is free in another tenant.
    const elsewhere = await guarded.tenant('acme');
    await elsewhere.get('PATCH', '/account', { name: 'Owner' });
    for (const name of ['\u200b', 'a\u202eb'])
      assert.equal(await guarded.owner.refusal('POST', '/tenants', { id: 'blank', name, tier: 'free' }), 'BAD_REQUEST');
  });

  test('fault 25: creating a key needs a recent sign-in; keys expire, and end with the password on request', async () => {
    const DAY_MS = 86_400_000;
    const member = await guarded.member('trader');
    const { accessToken } = await member.get<AccessToken>('POST', '/auth/token');
    const program = guarded.visitor({ authorization: `Bearer ${accessToken}` });
    const wish = { name: 'bot', scopes: ['market:read'] };
    assert.equal(await program.refusal('POST', '/account/keys', wish), 'FORBIDDEN');
    const { key, ...about } = await member.key('bot', ['market:read']);
    assert.ok(Math.abs(Date.parse(String(about.expiresAt)) - Date.now() - 90 * DAY_MS) < DAY_MS, String(about.expiresAt));
    assert.equal(
      await member.refusal('POST', '/account/keys', { ...wish, expiresAt: new Date(Date.now() + 400 * DAY_MS).toISOString() }),
      'BAD_REQUEST',
    );
    await member.get('POST', '/account/password', { current: PASSWORD, next: 'another mill, another stream' });
    const bot = guarded.visitor({ 'x-api-key': key });
    await bot.get('GET', '/instruments');
    await member.get('POST', '/account/password', { current: 'another mill, another stream', next: PASSWORD, endKeys: true });
    assert.equal(await bot.refusal('GET', '/instruments'), 'INVALID_TOKEN');
    assert.deepEqual(await member.get('GET', '/account/keys'), []);
  });

  test('fault 26: password strength is checked only with a valid invitation, and with a bound', async () => {
    const stranger = guarded.visitor();
    const wish = { name: 'Stranger', email: 'stranger@example.com', password: 'p4$$w0rd'.repeat(16) };
    assert.equal(await stranger.refusal('POST', '/auth/sign-up', wish), 'FORBIDDEN');
    assert.equal(await stranger.refusal('POST', '/auth/sign-up', { ...wish, invitation: 'made-up' }), 'INVALID_LINK');
    assert.equal(await stranger.refusal('POST', '/auth/reset-password', { token: 'made-up', password: wish.password }), 'INVALID_LINK');
    const { link } = await guarded.owner.get<Invitation>('POST', '/tenants/main/invitations', { role: 'viewer' });
    const codes: string[] = [];
    for (let tries = 0; tries < 25; tries++)
      codes.push(await stranger.refusal('POST', '/auth/sign-up', { ...wish, invitation: wordIn(link) }));
    assert.equal(codes[0], 'PASSWORD_REJECTED');
    assert.ok(codes.includes('RATE_LIMITED'), codes.join());
  });
});
