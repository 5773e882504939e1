import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Principal } from '@millrace/contracts';
import type { AuditLog, NewAuditEntry } from './audit.ts';
import { AuditedOperations } from './audited-operations.ts';

const principal = { tenant: 'main', name: 'Kim', user: 'kim' } as Principal;

test('actions of operators during an outage of the database are in the audit log afterwards, each once', async () => {
  const stored: string[] = [];
  const failures: string[] = [];
  let isAway = true;
  const audit = {
    append: async (_tenant: string, { subject, occurredAt }: NewAuditEntry) => {
      if (isAway) throw new Error('away');
      assert.ok(occurredAt);
      stored.push(subject);
    },
  } as unknown as AuditLog;
  const operations = new AuditedOperations(audit, (message) => failures.push(message));
  const operate = (route: string) => operations.append({ principal, route, detail: { params: {}, body: {} }, remote: '', trace: 't' });
  await operate('POST /one');
  await operate('POST /two');
  await assert.rejects(operations.storePending());
  isAway = false;
  await Promise.all([operations.storePending(), operations.storePending(), operate('POST /three')]);
  assert.deepEqual(stored.toSorted(), ['POST /one', 'POST /three', 'POST /two']);
  operations.close();
  assert.equal(failures.length, 2);
  isAway = true;
  await operate('POST /four');
  operations.close();
  assert.match(failures.at(-1) ?? '', /an audit entry is lost: Kim \(main, trace t\): POST \/four/);
});
