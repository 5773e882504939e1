import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HealthCheckState } from '@millrace/contracts';
import { HealthChecks } from './health-checks.ts';

/** Checks that are run by hand; only what hangs takes time. */
const TIMING = { everyMs: 3_600_000, checkMsMax: 20, startingMsMax: 0 };

describe('health checks', () => {
  test('fault 22: a required dependency that fails makes the process not ready, and says which, since when and why', async () => {
    let now = 1_000;
    let failure: string | null = null;
    const changes: HealthCheckState[] = [];
    const check = async () => {
      if (failure) throw new Error(failure);
    };
    const health = new HealthChecks(
      [{ name: 'database', isRequired: true, check }],
      () => now,
      (state) => changes.push(state),
      TIMING,
    );
    assert.equal(health.report().status, 'starting');
    await health.run();
    assert.equal(health.report().status, 'ok');
    [now, failure] = [2_000, 'the database system is shutting down'];
    await health.run();
    assert.equal(health.report().status, 'ok', 'once may be a pause');
    now = 3_000;
    await health.run();
    const failing = { name: 'database', isRequired: true, status: 'failing', statusChangedAt: 3_000, reason: failure };
    assert.deepEqual(health.report(), { status: 'failing', parts: { database: failure }, checks: [failing] });
    [now, failure] = [4_000, null];
    await health.run();
    assert.equal(health.report().status, 'ok');
    assert.deepEqual(changes, [failing, { ...failing, status: 'ok', statusChangedAt: 4_000, reason: null }]);
    health.close();
  });

  test('one that has never been well is starting, and fails when that takes too long', async () => {
    let now = 1_000;
    const changes: string[] = [];
    const health = new HealthChecks(
      [{ name: 'database', isRequired: true, check: () => Promise.reject(new Error('connection refused')) }],
      () => now,
      ({ status }) => changes.push(status),
      { ...TIMING, startingMsMax: 60_000 },
    );
    for (now = 1_000; now < 61_000; now += 10_000) await health.run();
    assert.deepEqual([health.report().status, health.report().parts, changes], ['starting', { database: 'connection refused' }, []]);
    await health.run();
    assert.deepEqual([health.report().status, changes], ['failing', ['failing']]);
    health.close();
  });

  test('fault 22: one that hangs fails, keeps nobody waiting, and is not asked again before it has answered', async () => {
    let asked = 0;
    let answer: () => void = () => {};
    const check = () => {
      asked++;
      return new Promise<void>((resolve) => {
        answer = resolve;
      });
    };
    const health = new HealthChecks(
      [{ name: 'database', isRequired: true, check }],
      () => 0,
      () => {},
      TIMING,
    );
    for (let count = 0; count < 5; count++) await health.run();
    assert.equal(asked, 1);
    assert.deepEqual([health.report().status, health.report().checks[0]?.reason], ['failing', 'It did not answer within 20 ms.']);
    answer();
    await new Promise((resolve) => setImmediate(resolve));
    const again = health.run();
    answer();
    await again;
    assert.deepEqual([asked, health.report().status], [2, 'ok']);
    health.close();
  });

  test('fault 22: one that is not required is shown, and what is known at once counts at once', async () => {
    let servers = 0;
    const health = new HealthChecks(
      [
        { name: 'redis', isRequired: false, check: () => Promise.reject(new Error('connection refused')) },
        {
          name: 'servers',
          isRequired: true,
          check: () => {
            if (servers === 0) throw new Error('No server answers.');
          },
        },
      ],
      () => 0,
      () => {},
      TIMING,
    );
    await health.run();
    await health.run();
    assert.deepEqual(health.report().parts, { redis: 'connection refused', servers: 'No server answers.' });
    assert.equal(health.report().status, 'failing');
    servers = 1;
    await health.run('servers');
    assert.equal(health.report().status, 'ok');
    health.stopping();
    assert.deepEqual([health.report().status, health.report().parts.process], ['failing', 'stopping']);
    health.close();
  });
});
