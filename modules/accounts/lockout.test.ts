import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { ManualClock } from '@millrace/kernel/testing';
import { Lockout } from './lockout.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');
const START = 1_800_000_000_000;

for (const engine of ENGINES)
  describe(`lockout on ${engine.name}`, () => {
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

    /** Makes an attempt that fails if it is admitted. @returns its wait otherwise, ms */
    const fail = async (lockout: Lockout, account: string, remote: string): Promise<number> => {
      const waitMs = await lockout.begin(account, remote);
      if (waitMs === 0) await lockout.failed(account, remote);
      return waitMs;
    };

    test('four failures are free, then each doubles the wait, a quarter of an hour at most', async () => {
      const clock = new ManualClock(START);
      const lockout = new Lockout(database, clock);
      const waits: number[] = [];
      for (let failure = 0; failure < 14; failure++) {
        assert.equal(await fail(lockout, 'kim', '10.0.0.1'), 0);
        const waitMs = await lockout.begin('kim', '10.0.0.1');
        if (waitMs === 0) await lockout.withdrawn('kim', '10.0.0.1');
        waits.push(waitMs);
        await clock.advance(waitMs);
      }
      assert.deepEqual(waits.slice(0, 7), [0, 0, 0, 0, 15_000, 30_000, 60_000]);
      assert.ok(waits.every((wait) => wait <= 900_000) && waits.at(-1) === 900_000);
    });

    test('fault 75: attempts are counted across servers, and concurrent ones like sequential ones', async () => {
      const clock = new ManualClock(START);
      const servers = [new Lockout(database, clock), new Lockout(database, clock)];
      const waits = await Promise.all(
        Array.from({ length: 30 }, (_none, index) => (servers[index % 2] as Lockout).begin('park', '10.1.0.1')),
      );
      assert.equal(waits.filter((wait) => wait === 0).length, 5);
      assert.equal(await new Lockout(database, clock).begin('park', '10.1.0.1'), 15_000);
    });

    test('an attempt that did not fail does not count', async () => {
      const lockout = new Lockout(database, new ManualClock(START));
      for (let attempt = 0; attempt < 20; attempt++) {
        assert.equal(await lockout.begin('choi', '10.2.0.1'), 0);
        await lockout.withdrawn('choi', '10.2.0.1');
      }
    });

    test('guessing locks out only its own address, until very many addresses guess', async () => {
      const clock = new ManualClock(START);
      const lockout = new Lockout(database, clock);
      for (let failure = 0; failure < 40; failure++) await fail(lockout, 'lee', '10.3.0.1');
      assert.ok((await lockout.begin('lee', '10.3.0.1')) > 0);
      assert.equal(await lockout.begin('lee', '10.3.0.2'), 0);
      await lockout.withdrawn('lee', '10.3.0.2');
      for (let failure = 0; failure < 95; failure++) await fail(lockout, 'lee', `10.3.1.${failure}`);
      assert.ok((await lockout.begin('lee', '10.3.0.2')) > 0);
    });

    test('an address that tries one account after another waits too', async () => {
      const lockout = new Lockout(database, new ManualClock(START));
      for (let failure = 0; failure < 50; failure++) await fail(lockout, `user ${failure}`, '10.4.0.1');
      assert.ok((await lockout.begin('user 999', '10.4.0.1')) > 0);
      assert.equal(await lockout.begin('user 999', '10.4.0.2'), 0);
    });

    test('a success or an hour without failures resets the count', async () => {
      const clock = new ManualClock(START);
      const lockout = new Lockout(database, clock);
      for (let failure = 0; failure < 4; failure++) await fail(lockout, 'jung', '10.5.0.1');
      await lockout.succeeded('jung', '10.5.0.1');
      for (let failure = 0; failure < 4; failure++) assert.equal(await fail(lockout, 'jung', '10.5.0.1'), 0);
      await clock.advance(3_600_001);
      for (let failure = 0; failure < 5; failure++) assert.equal(await fail(lockout, 'jung', '10.5.0.1'), 0);
      assert.equal(await fail(lockout, 'jung', '10.5.0.1'), 15_000);
    });
  });
