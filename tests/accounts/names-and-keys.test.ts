import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Account, AuditLine, AuditVerdict } from '@millrace/contracts';
import { WITHOUT_WORLD } from '../server.ts';
import { type Guarded, startGuarded } from './visitor.ts';

/*
 * Who did something stays known, whatever people call themselves.
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
  const audit = () => guarded.owner.get<AuditLine[]>('GET', '/tenants/main/audit?limit=50');

  test('fault 20: the audit log names who did something by the user’s id, and records changes of names', async () => {
    const member = await guarded.member('operator');
    const { user, name } = await member.get<Account>('GET', '/account');
    await member.get('POST', '/account', { name: 'Somebody else' });
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
    assert.partialDeepStrictEqual(await guarded.owner.get<AuditVerdict>('POST', '/tenants/main/audit/verify'), { brokenAt: null });
  });
});
