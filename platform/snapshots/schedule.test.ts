import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CountingClock, newHost, settled, turnstile } from '@millrace/kernel/testing';
import { type SnapshotTimes, scheduleSnapshots } from './schedule.ts';

const NEVER = Number.MAX_SAFE_INTEGER;

/** A host with zones that have changed, and rounds of snapshots. */
async function scheduled(zones: number, times: SnapshotTimes) {
  const clock = new CountingClock(1_000);
  const parts = newHost([turnstile], { clock });
  const admit = (zone: number) => parts.host.send(`turnstile/${zone}`, { type: 'Admit', people: 1 });
  for (let zone = 0; zone < zones; zone++) {
    await settled(clock, parts.host.open(`turnstile/${zone}`));
    admit(zone);
  }
  await clock.settle();
  const stop = scheduleSnapshots(parts.host, clock, times);
  return { ...parts, clock, admit, stop };
}

describe('rounds of snapshots', () => {
  test('take hot and cold snapshots of changed zones, until they are stopped', async () => {
    const { host, clock, hot, cold, admit, stop } = await scheduled(1, { hotEveryMs: 100, coldEveryMs: 1_000 });
    const taken = () => [hot.snapshots.length, cold.snapshots.length];
    await clock.advance(99);
    assert.deepEqual(taken(), [0, 0]);
    await clock.advance(1);
    assert.deepEqual(taken(), [1, 0]);
    await clock.advance(500);
    assert.deepEqual(taken(), [1, 0], 'nothing has changed');
    admit(0);
    await clock.advance(500);
    assert.deepEqual(taken(), [2, 1]);
    admit(0);
    await clock.settle();
    stop();
    await clock.advance(5_000);
    assert.deepEqual(taken(), [2, 1]);
    await settled(clock, host.close());
    assert.equal(clock.timers, 0);
  });

  test('by default are every 5 s into the hot store, and every 60 s into the cold one', async () => {
    const { clock, hot, cold, admit } = await scheduled(1, {});
    const taken = () => [hot.snapshots.length, cold.snapshots.length];
    await clock.advance(4_999);
    assert.deepEqual(taken(), [0, 0]);
    await clock.advance(1);
    assert.deepEqual(taken(), [1, 0]);
    await clock.advance(54_999);
    admit(0);
    await clock.advance(1);
    assert.deepEqual(taken(), [2, 1]);
  });

  test('try a store that does not respond once per round, not once per zone', async () => {
    const { clock, hot, cold } = await scheduled(3, { hotEveryMs: 10_000, coldEveryMs: 12_000 });
    let calls = 0;
    hot.save = () => {
      calls++;
      return new Promise(() => {});
    };
    await clock.advance(10_000);
    assert.equal(calls, 1);
    await clock.advance(13_999);
    assert.equal(calls, 1);
    await clock.advance(1);
    assert.equal(calls, 2);
    assert.equal(cold.snapshots.length, 3, 'the other store is not delayed');
  });

  test('that are stopped within a round take no further snapshot, and schedule no other round', async () => {
    const { host, clock, hot, stop } = await scheduled(3, { hotEveryMs: 10_000, coldEveryMs: NEVER });
    const save = hot.save.bind(hot);
    const first = Promise.withResolvers<void>();
    let calls = 0;
    hot.save = async (snapshot) => {
      calls++;
      if (calls === 1) await first.promise;
      return save(snapshot);
    };
    await clock.advance(10_000);
    assert.equal(calls, 1);
    stop();
    first.resolve();
    await clock.settle();
    await clock.advance(60_000);
    assert.equal(calls, 1);
    await settled(clock, host.close());
    // The first zone is stored already.
    assert.equal(calls, 3);
    assert.equal(clock.timers, 0);
  });
});
