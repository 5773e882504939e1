import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { sql } from 'drizzle-orm';
import { AuditLog } from './audit.ts';

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
