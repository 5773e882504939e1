import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { assertWithinTime } from '@millrace/testing';
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { SessionRows } from './session-rows.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', '..', 'apps', 'server', 'migrations');

/** One visit of a session: it starts in one zone and ends in another, unless it is the last and goes on. */
interface Visit {
  readonly startedIn: 0 | 1;
  readonly endedIn: 0 | 1;
  readonly reason: string;
}

const zone = fc.constantFrom(0, 1);
const visits = fc.array(fc.record({ startedIn: zone, endedIn: zone, reason: fc.constantFrom('left', 'lost', 'kicked') }), {
  minLength: 1,
  maxLength: 4,
});

type Write = (rows: SessionRows) => void;

/** What each zone writes, in its order, and the row that must result. */
function storyOf(all: readonly Visit[], goesOn: boolean): { lanes: [Write[], Write[]]; truth: object } {
  const lanes: [Write[], Write[]] = [[], []];
  let truth = {};
  for (const [index, { startedIn, endedIn, reason }] of all.entries()) {
    const since = 1_000 * (index + 1);
    const at = since + 500;
    const isOpen = goesOn && index === all.length - 1;
    lanes[startedIn].push((rows) => rows.start({ id: 's', player: 'p', at: since, zone: `${startedIn}` }));
    if (!isOpen) lanes[endedIn].push((rows) => rows.end({ id: 's', player: 'p', since, at, zone: `${endedIn}`, reason }));
    truth = {
      since,
      startedIn: `${startedIn}`,
      at: isOpen ? null : at,
      endedIn: isOpen ? null : `${endedIn}`,
      reason: isOpen ? null : reason,
    };
  }
  return { lanes, truth };
}

for (const engine of ENGINES)
  describe(`the table of sessions on ${engine.name}`, () => {
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

    test('has the newest start of each session, and its end, however the zones are interleaved and grouped', async () => {
      const choices = fc.array(fc.record({ lane: zone, count: fc.integer({ min: 1, max: 3 }), endsGroup: fc.boolean() }), {
        minLength: 20,
        maxLength: 20,
      });
      await assertWithinTime(
        fc.asyncProperty(visits, fc.boolean(), choices, async (all, goesOn, order) => {
          const { lanes, truth } = storyOf(all, goesOn);
          await database.drizzle.execute(sql`truncate sessions`);
          let rows = new SessionRows();
          const write = async () => {
            await database.drizzle.transaction((transaction) => rows.write(transaction));
            rows = new SessionRows();
          };
          const rest = ([0, 1] as const).map((lane) => ({ lane, count: 9, endsGroup: false }));
          for (const { lane, count, endsGroup } of [...order, ...rest]) {
            for (const each of lanes[lane].splice(0, count)) each(rows);
            if (endsGroup) await write();
          }
          await write();
          const found = await database.drizzle.execute(sql`
            select started_at::int as since, started_in as "startedIn", ended_at::int as at, ended_in as "endedIn", reason from sessions`);
          assert.deepEqual(found.rows, [truth]);
        }),
        { numRuns: 60, ms: 2_000 },
      );
    });
  });
