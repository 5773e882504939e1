import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { sql } from 'drizzle-orm';
import { AuditLog } from './audit.ts';
import { AuditedOperations } from './audited-operations.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');
const entry = (subject: string) => ({
  actor: 'kim',
  user: 'id-of-kim',
  action: 'role changed',
  subject,
  detail: { role: 'trader', was: ['viewer', { since: 1.5 }], note: undefined },
  remote: '127.0.0.1',
  trace: 'a-b-c',
});

for (const engine of ENGINES)
  describe(`the audit log on ${engine.name}`, () => {
    let running: TestDatabase;
    let database: Database;
    let audit: AuditLog;
    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await migrateDatabase(database, MIGRATIONS);
      audit = new AuditLog(database);
    });
    after(async () => {
      await database.close();
      await running.close();
    });

    test('numbers the entries of each tenant without gaps, also concurrent ones', async () => {
      await Promise.all(
        Array.from({ length: 40 }, (_none, index) => audit.append(index % 4 === 0 ? 'acme' : 'main', entry(`user ${index}`))),
      );
      assert.partialDeepStrictEqual(await audit.verify('main'), { entries: 30, firstInvalid: null });
      assert.partialDeepStrictEqual(await audit.verify('acme'), { entries: 10, firstInvalid: null });
      const newest = await audit.list('main', { before: 30, limit: 3 });
      assert.deepEqual(
        newest.map(({ number }) => number),
        [29, 28, 27],
      );
    });

    test('an entry whose response was lost is not stored again', async (context) => {
      const lossy = new AuditLog(database);
      const failures: string[] = [];
      const append = lossy.append.bind(lossy);
      context.mock.method(lossy, 'append', async (...given: Parameters<typeof append>) => {
        await append(...given);
        throw new Error('Connection terminated unexpectedly');
      });
      const operations = new AuditedOperations(lossy, (message) => failures.push(message));
      await operations.store('lossy', entry('one'));
      await operations.store('lossy', entry('two'));
      await operations.storePending();
      assert.equal(failures.length, 2);
      assert.deepEqual(
        (await audit.list('lossy', { limit: 9 })).map(({ subject }) => subject),
        ['two', 'one'],
      );
      await audit.appendOnce('lossy', { ...entry('three'), occurredAt: 1 });
      assert.partialDeepStrictEqual(await audit.verify('lossy'), { entries: 3, firstInvalid: null });
    });

    test('detects changed, removed, inserted and moved entries', async () => {
      const damages = [
        sql`update audit_lines set actor_id = 'id-of-lee' where tenant = 'main' and number = 12`,
        sql`update audit_lines set actor_id = null where tenant = 'main' and number = 12`,
        sql`update audit_lines set actor = 'lee' where tenant = 'main' and number = 12`,
        sql`update audit_lines set detail = '{"role":"admin"}' where tenant = 'main' and number = 12`,
        sql`delete from audit_lines where tenant = 'main' and number = 12`,
        sql`update audit_lines set number = number + 1000 where tenant = 'main' and number >= 12`,
        sql`update audit_lines set tenant = 'main', number = 12 where tenant = 'acme' and number = 3`,
      ];
      for (const damage of damages) {
        const rollback = new Error('only looked at');
        await assert.rejects(
          database.drizzle.transaction(async (transaction) => {
            if (damage === damages.at(-1)) await transaction.execute(sql`delete from audit_lines where tenant = 'main' and number = 12`);
            await transaction.execute(damage);
            assert.partialDeepStrictEqual(await new AuditLog({ ...database, drizzle: transaction as never }).verify('main'), {
              entries: 11,
              firstInvalid: 12,
            });
            throw rollback;
          }),
          rollback,
        );
      }
      assert.partialDeepStrictEqual(await audit.verify('main'), { entries: 30, firstInvalid: null });
    });
  });
