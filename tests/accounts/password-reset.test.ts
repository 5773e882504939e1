import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import type { Account, AuditEntry, AuditVerification, ResetLink, Wire } from '@millrace/contracts';
import { WITHOUT_WORLD } from '../server.ts';
import { type Guarded, PASSWORD, startGuarded, type Visitor } from './visitor.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'apps', 'server', 'main.ts');
const NEWER = 'a newer mill that turns as well';
const wordOf = (link: string) => new URL(link).searchParams.get('token') ?? '';

describe('fault 37: a forgotten password without a mail server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-reset-'));
  let guarded: Guarded;
  let isStopped = false;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
  });
  after(async () => {
    if (!isStopped) await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const accountOf = (visitor: Visitor) => visitor.get<Account>('GET', '/account');
  const pathOf = ({ tenant, user }: Account) => `/tenants/${tenant}/users/${user}/password-reset`;
  const choose = (link: string, password: string) =>
    guarded.visitor().ask('POST', '/api/v1/auth/reset-password', { token: wordOf(link), password });

  async function millrace(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: folder,
      env: { ...process.env, MILLRACE_CWD: folder, NODE_OPTIONS: '' },
    });
    const [[code], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
    return { code, stdout, stderr };
  }

  test('an administrator creates a link; the newest sets a new password once, and the audit log has it', async () => {
    const member = await guarded.member('viewer');
    const account = await accountOf(member);
    const { link: earlier } = await guarded.owner.get<ResetLink>('POST', pathOf(account));
    const { link, expiresAt } = await guarded.owner.get<Wire<ResetLink>>('POST', pathOf(account));
    assert.ok(Date.parse(expiresAt) > Date.now());
    assert.equal((await choose(earlier, NEWER)).status, 400);
    // A refused password does not use the link.
    assert.equal((await choose(link, 'short')).status, 400);
    assert.equal((await choose(link, NEWER)).status, 204);
    assert.equal((await choose(link, PASSWORD)).status, 400);
    assert.equal(await member.refusal('GET', '/account'), 'UNAUTHENTICATED');
    const { email = '' } = account as { email: string };
    assert.equal(await guarded.visitor().refusal('POST', '/auth/sign-in', { email, password: PASSWORD }), 'INVALID_CREDENTIALS');
    assert.equal((await guarded.visitor().signIn(email, NEWER)).status, 'signed-in');
    const lines = await guarded.owner.get<AuditEntry[]>('GET', '/tenants/main/audit?limit=50');
    const changes = lines.filter(({ action }) => action === 'password changed');
    assert.deepEqual(
      changes.map(({ user, detail }) => [user, detail]),
      [[account.user, { by: 'link' }]],
      'the new password has one entry',
    );
    const [line] = lines.filter(({ action }) => action === 'password reset link created');
    assert.deepEqual([line?.subject, line?.actor], [email, 'Owner']);
    assert.ok(!JSON.stringify(line).includes(wordOf(link)));
  });

  test('other roles, other tenants, keys and old sessions may not', async () => {
    const target = await accountOf(await guarded.member('viewer'));
    for (const role of ['viewer', 'operator'] as const)
      assert.equal(await (await guarded.member(role)).refusal('POST', pathOf(target)), 'FORBIDDEN');
    const other = await guarded.tenant('other');
    assert.equal(await other.refusal('POST', pathOf(target)), 'UNKNOWN_TENANT');
    assert.equal(await other.refusal('POST', `/tenants/other/users/${target.user}/password-reset`), 'UNKNOWN_USER');
    const { key } = await guarded.owner.key('reset', ['tenant:manage']);
    assert.equal(await guarded.visitor({ 'x-api-key': key }).refusal('POST', pathOf(target)), 'FORBIDDEN');
    assert.equal(await guarded.owner.refusal('POST', '/tenants/main/users/nobody/password-reset'), 'UNKNOWN_USER');
    await guarded.owner.get('PATCH', `/tenants/main/users/${target.user}`, { disabled: true });
    assert.equal(await guarded.owner.refusal('POST', pathOf(target)), 'CONFLICT');
  });

  test('the last administrator regains access by the command line, with or without a running server', async () => {
    const unknown = await millrace('users', 'reset', 'nobody@example.com', '--data', 'data');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no user with the address "nobody@example.com"/);
    const first = await millrace('users', 'reset', 'Owner@Example.com', '--data', 'data');
    assert.equal(first.code, 0, first.stderr);
    assert.equal((await choose(first.stdout.split('\n')[0] ?? '', NEWER)).status, 204);
    assert.equal((await guarded.visitor().signIn('owner@example.com', NEWER)).status, 'signed-in');
    const owner = guarded.visitor();
    await owner.signIn('owner@example.com', NEWER);
    assert.equal((await owner.get<AuditVerification>('POST', '/tenants/main/audit/verify')).firstInvalid, null);
    await guarded.server.stop();
    isStopped = true;
    const stopped = await millrace('users', 'reset', 'owner@example.com', '--data', 'data');
    assert.equal(stopped.code, 0, stopped.stderr);
    assert.match(stopped.stdout, /^http:\/\/127\.0\.0\.1:7420\/reset-password\?token=\S{43}\n/);
  });

  test('fault 39: a command without an installation reports that and creates none', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    for (const args of [
      ['audit', 'export'],
      ['audit', 'verify'],
      ['users', 'reset', 'owner@example.com'],
    ]) {
      const { code, stderr } = await millrace(...args, '--data', 'empty/data');
      assert.equal(code, 1);
      assert.match(stderr, /there is no database in .*empty\/data\n {2}Name the data folder/);
    }
    assert.deepEqual(readdirSync(empty), []);
  });
});
