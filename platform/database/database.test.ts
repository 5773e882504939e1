import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { OffsetsChanged, type ReadRange } from '@millrace/base/offsets';
import { killOrphans } from '@millrace/processes';
import { createLogger } from '@millrace/telemetry';
import { until } from '@millrace/testing';
import { DrizzleQueryError, sql } from 'drizzle-orm';
import pg from 'pg';
import { connectDatabase, type Database, migrateDatabase } from './database.ts';
import { serveEmbedded } from './embedded.ts';
import { failureReason, isDatabaseUnavailable } from './failure-reason.ts';
import { marksOf, offsetsOf, saveMarks, saveOffsets } from './progress.ts';
import { EMPTY, ENGINES, type TestDatabase } from './testing/engines.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');

describe('the files of an embedded database', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-files-'));
  const data = join(folder, 'data');
  const socket = join(folder, 'socket');
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('are created atomically with every table, also after an interrupted start, and keep their data', async () => {
    mkdirSync(`${data}.new`);
    writeFileSync(join(`${data}.new`, 'postgresql.conf'), 'half of a');
    const first = await serveEmbedded(data, socket, EMPTY);
    const database = connectDatabase({ socket });
    assert.deepEqual((await database.drizzle.execute(sql`select count(*)::int as users from users`)).rows, [{ users: 0 }]);
    await database.drizzle.execute(sql`create table kept (n integer)`);
    await first.close();
    const second = await serveEmbedded(data, socket, EMPTY);
    assert.deepEqual((await database.drizzle.execute(sql`select count(*)::int as n from kept`)).rows, [{ n: 0 }]);
    await database.close();
    await second.close();
  });

  test('are accessible to their owner only', () => {
    // Files that the engine creates are in a private folder.
    for (const path of [data, join(data, 'PG_VERSION'), join(data, 'base')]) assert.equal(statSync(path).mode & 0o077, 0, path);
  });

  test('are not touched if they are not a complete database', async () => {
    const damaged = join(folder, 'damaged');
    mkdirSync(damaged);
    writeFileSync(join(damaged, 'users'), 'all of them');
    await assert.rejects(serveEmbedded(damaged, socket, EMPTY), /damaged has files, but no PG_VERSION.*Restore it from a backup/);
    assert.equal(readFileSync(join(damaged, 'users'), 'utf8'), 'all of them');
  });

  test('are created without a cache', async () => {
    writeFileSync(join(folder, 'file'), '');
    const served = await serveEmbedded(join(folder, 'alone'), socket, { ...EMPTY, cache: join(folder, 'file', 'cache') });
    const database = connectDatabase({ socket });
    assert.deepEqual((await database.drizzle.execute(sql`select 1 as n`)).rows, [{ n: 1 }]);
    await database.close();
    await served.close();
  });

  test('are created by a process that the next server ends: a killed server leaves it', async () => {
    writeFileSync(join(folder, 'no-cache'), '');
    const killed = join(folder, 'killed');
    const served = assert.rejects(
      serveEmbedded(join(killed, 'database'), socket, { ...EMPTY, cache: join(folder, 'no-cache', 'cache') }),
      /could not be created/,
    );
    await until(() => existsSync(join(killed, 'database.new')), 'the process writes files');
    assert.equal(await killOrphans(killed, createLogger('silent')), 1);
    await served;
    assert.deepEqual(readdirSync(join(killed, 'processes')), []);
  });
});

for (const engine of ENGINES)
  describe(`the relational store on ${engine.name}`, () => {
    let running: TestDatabase;
    let database: Database;
    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await database.drizzle.execute(sql`create table counters (id integer primary key, n integer not null)`);
      await database.drizzle.execute(sql`insert into counters values (1, 0)`);
    });
    after(async () => {
      await database.close();
      await running.close();
    });
    const rows = async (query: ReturnType<typeof sql>) => (await database.drizzle.execute(query)).rows;

    test('is migrated once by concurrent processes; another migration has no effect', async () => {
      const others = Array.from({ length: 3 }, () => connectDatabase(running.address));
      await Promise.all(others.map((other) => migrateDatabase(other, MIGRATIONS)));
      await migrateDatabase(database, MIGRATIONS);
      await Promise.all(others.map((other) => other.close()));
      assert.deepEqual(await rows(sql`select count(*)::int as players from players`), [{ players: 0 }]);
    });

    test('keeps statements of many connections apart', async () => {
      const results = await Promise.all(Array.from({ length: 300 }, (_none, index) => rows(sql`select ${index}::int as n`)));
      assert.deepEqual(
        results.map(([row]) => row?.n),
        results.map((_row, index) => index),
      );
    });

    test('loses no update of concurrent transactions', async () => {
      await Promise.all(
        Array.from({ length: 20 }, () =>
          database.drizzle.transaction(async (transaction) => {
            const { rows: found } = await transaction.execute(sql`select n from counters where id = 1 for update`);
            await transaction.execute(sql`update counters set n = ${Number(found[0]?.n) + 1} where id = 1`);
          }),
        ),
      );
      assert.deepEqual(await rows(sql`select n from counters where id = 1`), [{ n: 20 }]);
    });

    test('rolls back a transaction that fails, and one whose client disconnects', async () => {
      await assert.rejects(
        database.drizzle.transaction(async (transaction) => {
          await transaction.execute(sql`update counters set n = 1000`);
          await transaction.execute(sql`insert into counters values (1, 0)`);
        }),
        (error) => (error as { cause?: { code?: string } }).cause?.code === '23505',
      );
      const { address } = running;
      const dying = new pg.Client('url' in address ? address.url : { host: address.socket, user: 'postgres', database: 'postgres' });
      dying.on('error', () => {});
      await dying.connect();
      await dying.query('begin');
      await dying.query('update counters set n = 1000');
      (dying as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      assert.deepEqual(await rows(sql`select n from counters where id = 1`), [{ n: 20 }]);
    });

    test('reports an invalid statement, and processes the next', async () => {
      await assert.rejects(rows(sql`selec 1`), (error) => (error as { cause?: { code?: string } }).cause?.code === '42601');
      assert.deepEqual(await rows(sql`select 1::int as one`), [{ one: 1 }]);
    });

    test('reports the reason of a failed query without its parameters, and whether the database is unavailable', async () => {
      const wrong = await rows(sql`select 1 / ${0}::int as ${sql.identifier('n')}, ${'a secret'}::text`).catch((error) => error);
      assert.match(failureReason(wrong), /division by zero/);
      assert.ok(String(wrong).includes('a secret') && !failureReason(wrong).includes('a secret'));
      assert.equal(isDatabaseUnavailable(wrong), false);
      const nowhere = connectDatabase({ socket: '/nowhere' });
      const failure = await nowhere.drizzle.execute(sql`select ${'a secret'}::text`).catch((error) => error);
      await nowhere.close();
      assert.equal(isDatabaseUnavailable(failure), true);
      for (const code of ['EPIPE', 'ECONNRESET'])
        assert.equal(isDatabaseUnavailable(new DrizzleQueryError('select', [], Object.assign(new Error('cut'), { code }))), true, code);
      assert.ok(!failureReason(failure).includes('a secret'));
    });

    test('keeps how far a group has read', async () => {
      const save = (...read: ReadRange[]) => database.drizzle.transaction((transaction) => saveOffsets(transaction, 'g', read));
      await database.drizzle.transaction(async (transaction) => {
        await saveOffsets(transaction, 'g', [{ partition: 3, from: 0, next: 2 ** 40 }]);
        await saveMarks(transaction, 'g', new Map([['zone', 2 ** 41]]));
      });
      const stored = [[3, 2 ** 40]];
      assert.deepEqual([...(await offsetsOf(database, 'g'))], stored);
      // Fault 42: a range that does not continue the stored offset aborts the whole transaction.
      for (const wrong of [0, 2 ** 40 - 1, 2 ** 40 + 1])
        await assert.rejects(save({ partition: 1, from: 0, next: 5 }, { partition: 3, from: wrong, next: 2 ** 42 }), OffsetsChanged);
      assert.deepEqual([...(await offsetsOf(database, 'g'))], stored);
      await save({ partition: 1, from: 0, next: 5 }, { partition: 3, from: 2 ** 40, next: 2 ** 40 + 1 });
      assert.deepEqual([...(await offsetsOf(database, 'g'))].sort(), [
        [1, 5],
        [3, 2 ** 40 + 1],
      ]);
      assert.deepEqual([...(await marksOf(database, 'g'))], [['zone', 2 ** 41]]);
    });
  });
