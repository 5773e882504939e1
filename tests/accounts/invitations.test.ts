import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AuditEntry, Invitation, PendingInvitation } from '@millrace/contracts';
import { WITHOUT_WORLD } from '../server.ts';
import { type Guarded, PASSWORD, startGuarded, wordIn } from './visitor.ts';

describe('fault 40: pending invitations', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-invitations-'));
  let guarded: Guarded;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const createInvitation = (email?: string) =>
    guarded.owner.get<Invitation>('POST', '/tenants/main/invitations', { role: 'trader', email });
  const pending = () => guarded.owner.get<PendingInvitation[]>('GET', '/tenants/main/invitations');

  test('are listed without links until they are used or withdrawn', async () => {
    assert.deepEqual(await pending(), []);
    const used = await createInvitation('used@example.com');
    await createInvitation();
    const withdrawn = await createInvitation('withdrawn@example.com');
    const listed = await pending();
    assert.deepEqual(listed.map(({ email, role, invitedBy }) => [email, role, invitedBy]).sort(), [
      [null, 'trader', 'Owner'],
      ['used@example.com', 'trader', 'Owner'],
      ['withdrawn@example.com', 'trader', 'Owner'],
    ]);
    for (const { link } of [used, withdrawn]) assert.ok(!JSON.stringify(listed).includes(wordIn(link)));
    await guarded.visitor().signUp('Used', 'used@example.com', wordIn(used.link));
    const first = listed.find(({ email }) => email === 'withdrawn@example.com');
    assert.deepEqual(await guarded.owner.get('DELETE', `/tenants/main/invitations/${first?.id}`), undefined);
    assert.deepEqual(
      (await pending()).map(({ email }) => email),
      [null],
    );
    const late = { name: 'Late', email: 'withdrawn@example.com', password: PASSWORD, invitation: wordIn(withdrawn.link) };
    assert.equal(await guarded.visitor().refusal('POST', '/auth/sign-up', late), 'INVALID_LINK');
    assert.equal(await guarded.owner.refusal('DELETE', `/tenants/main/invitations/${first?.id}`), 'NOT_FOUND');
    const [line] = await guarded.owner.get<AuditEntry[]>('GET', '/tenants/main/audit');
    assert.deepEqual([line?.action, line?.subject], ['invitation revoked', 'withdrawn@example.com']);
  });

  test('are visible only to administrators of their tenant, who can withdraw them', async () => {
    await createInvitation('kept@example.com');
    const [kept] = await pending();
    const viewer = await guarded.member('viewer');
    assert.equal(await viewer.refusal('GET', '/tenants/main/invitations'), 'FORBIDDEN');
    assert.equal(await viewer.refusal('DELETE', `/tenants/main/invitations/${kept?.id}`), 'FORBIDDEN');
    const stranger = await guarded.tenant('acme');
    assert.equal(await stranger.refusal('GET', '/tenants/main/invitations'), 'UNKNOWN_TENANT');
    assert.equal(await stranger.refusal('DELETE', `/tenants/acme/invitations/${kept?.id}`), 'NOT_FOUND');
    assert.ok((await pending()).some(({ id }) => id === kept?.id));
  });
});
