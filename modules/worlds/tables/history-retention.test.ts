import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { sql } from 'drizzle-orm';
import { deleteHistoryBefore } from './history-retention.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', '..', 'apps', 'server', 'migrations');
/** Rows of each zone: more than one statement deletes. */
const ROWS = 7_000;

for (const engine of ENGINES)
  describe(`the history of players on ${engine.name}`, () => {
    let running: TestDatabase;
    let database: Database;
    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await migrateDatabase(database, MIGRATIONS);
    });
    after(async () => {
      await database.close();
      await running.close();
    });

    test('loses the rows before a time, of every zone and table, and no other ones', async () => {
      const { drizzle } = database;
      // Row `seq` of a zone is of the time `seq`; zone 2-0 has only newer rows.
      const events = sql`from unnest(array['0-0', '1-0', '2-0']) as zone, generate_series(1, ${ROWS}::int) as seq
        where zone <> '2-0' or seq > 6000`;
      await drizzle.execute(sql`insert into movements (zone, seq, at, player, x, y) select zone, seq, seq, 'p', 0, 0 ${events}`);
      await drizzle.execute(
        sql`insert into item_history (zone, seq, at, player, item, kind, what) select zone, seq, seq, 'p', 'i', 'apple', 'used' ${events}`,
      );
      await drizzle.execute(sql`
        insert into player_changes (zone, seq, at, player, type, detail)
        select zone, seq, seq, player, 'PlayerDied', '{}' from (select zone, seq ${events}) as event, unnest(array['p', 'q']) as player`);
      await drizzle.execute(sql`
        insert into sessions (id, player, started_at, started_in, ended_at) values
          ('ended before', 'p', 1000, '0-0', 5999), ('ended after', 'p', 1000, '0-0', 6001), ('open, old', 'p', 1000, '0-0', null),
          ('open', 'p', 6001, '0-0', null)`);
      const perTable = 2 * 5_999;
      assert.equal(await deleteHistoryBefore(database, 6_000, ROWS), 4 * perTable + 2);
      for (const [table, rowsEach] of [
        ['movements', 1],
        ['item_history', 1],
        ['player_changes', 2],
      ] as const) {
        const { rows } = await drizzle.execute(
          sql`select zone, count(*)::int as n, min(at)::int as oldest from ${sql.identifier(table)} group by zone order by zone`,
        );
        const kept = (zone: string, oldest: number) => ({ zone, n: (ROWS - oldest + 1) * rowsEach, oldest });
        assert.deepEqual(rows, [kept('0-0', 6_000), kept('1-0', 6_000), kept('2-0', 6_001)]);
      }
      const sessions = await drizzle.execute(sql`select id from sessions order by id`);
      assert.deepEqual(sessions.rows, [{ id: 'ended after' }, { id: 'open' }]);
      assert.equal(await deleteHistoryBefore(database, 6_000, ROWS), 0);
    });

    test('loses events from the future with the next later event that is due', async () => {
      const { drizzle } = database;
      await drizzle.execute(sql`truncate movements`);
      const FUTURE = 1_000_000;
      // More than one statement deletes, while the clock was wrong; then old events, one from the future, and newer events.
      await drizzle.execute(sql`
        insert into movements (zone, seq, at, player, x, y)
        select '0-0', seq, case when seq <= 1500 or seq = 2500 or seq = 3500 then ${FUTURE}::int else seq end, 'p', 0, 0
        from generate_series(1, 4000::int) as seq`);
      await drizzle.execute(
        sql`insert into movements (zone, seq, at, player, x, y) values ('1-0', 1, ${FUTURE}, 'p', 0, 0), ('1-0', 2, 3500, 'p', 0, 0)`,
      );
      await drizzle.execute(sql`insert into movements (zone, seq, at, player, x, y) values ('2-0', 1, ${FUTURE}, 'p', 0, 0)`);
      assert.equal(await deleteHistoryBefore(database, 3_000, 4_000), 2_999);
      const { rows } = await drizzle.execute(
        sql`select zone, count(*)::int as n, min(seq)::int as oldest from movements group by zone order by zone`,
      );
      assert.deepEqual(rows, [
        { zone: '0-0', n: 1_001, oldest: 3_000 },
        { zone: '1-0', n: 2, oldest: 1 },
        { zone: '2-0', n: 1, oldest: 1 },
      ]);
    });
  });
