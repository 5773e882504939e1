import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HealthCheckState } from '@millrace/contracts';
import { HealthChecks } from './health-checks.ts';

/** The tests run the checks themselves: the interval is too long to elapse. */
const TIMING = { everyMs: 3_600_000, checkMsMax: 20, startingMsMax: 0 };

describe('health checks', () => {
  test('fault 22: a failing required dependency makes the process not ready; the report has its name, time and reason', async () => {
    let now = 1_000;
    let failure: string | null = null;
    const changes: HealthCheckState[] = [];
    const check = async () => {
      if (failure) throw new Error(failure);
    };
    const health = new HealthChecks(
      [{ name: 'database', isRequired: true, check }],
      { now: () => now, elapsed: () => now },
      (state) => changes.push(state),
      TIMING,
    );
    assert.equal(health.report().status, 'starting');
    await health.run();
    assert.equal(health.report().status, 'ok');
    [now, failure] = [2_000, 'the database system is shutting down'];
    await health.run();
    assert.equal(health.report().status, 'ok', 'a single failure may be a pause');
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

  test('a check that has never succeeded is starting, and fails after the maximum start time', async () => {
    let now = 1_000;
    const changes: string[] = [];
    const health = new HealthChecks(
      [{ name: 'database', isRequired: true, check: () => Promise.reject(new Error('connection refused')) }],
      { now: () => now, elapsed: () => now },
      ({ status }) => changes.push(status),
      { ...TIMING, startingMsMax: 60_000 },
    );
    for (now = 1_000; now < 61_000; now += 10_000) await health.run();
    assert.deepEqual([health.report().status, health.report().parts, changes], ['starting', { database: 'connection refused' }, []]);
    await health.run();
    assert.deepEqual([health.report().status, changes], ['failing', ['failing']]);
    health.close();
  });

  test('the maximum start time does not depend on the clock of the machine', async () => {
    let [now, elapsed] = [1_000_000, 0];
    const check = () => Promise.reject(new Error('connection refused'));
    const health = new HealthChecks([{ name: 'database', isRequired: true, check }], { now: () => now, elapsed: () => elapsed }, () => {}, {
      ...TIMING,
      startingMsMax: 60_000,
    });
    [now, elapsed] = [10_000_000, 2_000];
    for (let count = 0; count < 2; count++) await health.run();
    assert.equal(health.report().status, 'starting', 'the clock was set forward');
    [now, elapsed] = [0, 60_000];
    await health.run();
    assert.equal(health.report().status, 'failing', 'the clock was set back');
    health.close();
  });

  test('fault 22: a check that hangs fails without delaying the report, and is not started again before it ends', async () => {
    let started = 0;
    let end: () => void = () => {};
    const check = () => {
      started++;
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    };
    const health = new HealthChecks([{ name: 'database', isRequired: true, check }], { now: () => 0, elapsed: () => 0 }, () => {}, TIMING);
    for (let count = 0; count < 5; count++) await health.run();
    assert.equal(started, 1);
    assert.deepEqual([health.report().status, health.report().checks[0]?.reason], ['failing', 'No response within 20 ms.']);
    end();
    await new Promise((resolve) => setImmediate(resolve));
    const again = health.run();
    end();
    await again;
    assert.deepEqual([started, health.report().status], [2, 'ok']);
    health.close();
  });

  test('fault 22: a failing optional dependency is only reported; a synchronous failure counts at once', async () => {
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
      { now: () => 0, elapsed: () => 0 },
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
