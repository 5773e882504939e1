import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Principal } from '@millrace/contracts';
import type { AuditLog, NewAuditEntry } from './audit.ts';
import { AuditedOperations } from './audited-operations.ts';

const principal = { tenant: 'main', name: 'Kim', user: 'kim' } as Principal;

test('an entry that can never be stored keeps no other from the audit log', async () => {
  const stored: string[] = [];
  let isAway = true;
  const append = async (_tenant: string, { subject }: NewAuditEntry) => {
    if (isAway || subject === 'POST /poison') throw new Error('refused');
    stored.push(subject);
  };
  const audit = { append, appendOnce: append } as unknown as AuditLog;
  const operations = new AuditedOperations(audit, () => {});
  for (const route of ['POST /poison', 'POST /one', 'POST /two'])
    await operations.append({ principal, route, detail: { params: {}, body: {} }, remote: '', trace: '' });
  isAway = false;
  await assert.rejects(operations.storePending());
  await assert.rejects(operations.storePending());
  assert.deepEqual(stored, ['POST /one', 'POST /two']);
});

test('actions of operators during an outage of the database are in the audit log afterwards, each once', async () => {
  const stored: string[] = [];
  const failures: string[] = [];
  let isAway = true;
  const append = async (_tenant: string, { subject, occurredAt }: NewAuditEntry) => {
    if (isAway) throw new Error('away');
    assert.ok(occurredAt);
    stored.push(subject);
  };
  const audit = { append, appendOnce: append } as unknown as AuditLog;
  const operations = new AuditedOperations(audit, (message) => failures.push(message));
  const operate = (route: string) => operations.append({ principal, route, detail: { params: {}, body: {} }, remote: '', trace: 't' });
  await operate('POST /one');
  await operate('POST /two');
  await assert.rejects(operations.storePending());
  isAway = false;
  await Promise.all([operations.storePending(), operations.storePending(), operate('POST /three')]);
  assert.deepEqual(stored.toSorted(), ['POST /one', 'POST /three', 'POST /two']);
  await operations.close();
  assert.equal(failures.length, 2);
  isAway = true;
  await operate('POST /four');
  await operations.close();
  assert.match(failures.at(-1) ?? '', /an audit entry is lost: Kim \(main, trace t\): POST \/four/);
});

test('a database that does not respond delays neither the response to an operator nor the stop for long, and the entry is reported', async (context) => {
  const audit = { append: () => new Promise(() => {}) } as unknown as AuditLog;
  const failures: string[] = [];
  const operations = new AuditedOperations(audit, (message) => failures.push(message));
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const appended = operations.append({ principal, route: 'POST /one', detail: { params: {}, body: {} }, remote: '', trace: 't' });
  context.mock.timers.tick(2_000);
  await appended;
  assert.deepEqual(failures, []);
  const closed = operations.close();
  context.mock.timers.tick(2_000);
  await closed;
  assert.deepEqual(failures, ['an audit entry is lost: Kim (main, trace t): POST /one']);
});

test('a stop waits for entries that are being stored, and reports none of them', async () => {
  const failures: string[] = [];
  let { promise: answer, resolve, reject } = Promise.withResolvers<void>();
  const append = () => answer;
  const operations = new AuditedOperations({ append, appendOnce: append } as unknown as AuditLog, (message) => failures.push(message));
  const appended = operations.append({ principal, route: 'POST /one', detail: { params: {}, body: {} }, remote: '', trace: 't' });
  reject(new Error('away'));
  await appended;
  failures.length = 0;
  ({ promise: answer, resolve, reject } = Promise.withResolvers<void>());
  const storing = operations.storePending();
  const closed = operations.close();
  await new Promise((done) => setImmediate(done));
  resolve();
  await Promise.all([storing, closed]);
  assert.deepEqual(failures, []);
});
