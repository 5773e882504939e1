import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SnapshotStats } from './host-options.ts';
import { ManualClock, newHost, settled, turnstile } from './testing/index.ts';

const admit = (people = 1) => ({ type: 'Admit', people }) as const;

async function open(zones: number, options = {}, clock = new ManualClock(1_000)) {
  const stats: SnapshotStats[] = [];
  const parts = newHost([turnstile], { clock, options: { onSnapshot: (one) => stats.push(one), ...options } });
  for (let count = 0; count < zones; count++) {
    await settled(parts.clock, parts.host.open(`turnstile/${count}`));
    parts.host.send(`turnstile/${count}`, admit());
  }
  await parts.clock.settle();
  return { ...parts, stats };
}

describe('snapshots', () => {
  test('of one zone contain that zone only, and each is reported with its duration or failure', async () => {
    const { host, clock, hot, cold, stats, failures } = await open(2);
    const save = hot.save.bind(hot);
    hot.save = async (snapshot) => {
      clock.jump(40);
      return save(snapshot);
    };
    cold.save = () => Promise.reject(new Error('disk full'));
    assert.equal(await settled(clock, host.snapshot('turnstile/1', 'hot')), null);
    assert.equal(await settled(clock, host.snapshot('turnstile/1', 'hot')), null, 'it is stored already');
    assert.equal(await settled(clock, host.snapshot('turnstile/1', 'cold')), 'disk full');
    assert.equal(await settled(clock, host.snapshot('turnstile/unknown', 'hot')), 'the zone is not open');
    assert.deepEqual(
      hot.snapshots.map(({ zone }) => zone),
      ['turnstile/1'],
    );
    assert.deepEqual(stats, [
      { zone: 'turnstile/1', store: 'hot', seq: 1, time: 1_000, ms: 40, failure: null },
      { zone: 'turnstile/1', store: 'cold', seq: 1, time: 1_040, ms: 0, failure: 'disk full' },
    ]);
    assert.deepEqual(failures, [{ kind: 'snapshot', zone: 'turnstile/1', message: 'cold snapshot at seq 1: disk full' }]);
  });

  test('of a zone that failed are not taken', async () => {
    const { host, clock, hot } = await open(1);
    await settled(clock, host.snapshot('turnstile/0', 'hot'));
    host.send('turnstile/0', admit());
    for (let times = 0; times < 6; times++) {
      host.send('turnstile/0', { type: 'Break' });
      await clock.settle();
    }
    assert.equal(host.status('turnstile/0'), 'failed');
    assert.equal(await settled(clock, host.snapshot('turnstile/0', 'hot')), 'the zone is not active');
    assert.deepEqual(
      hot.snapshots.map(({ seq }) => seq),
      [1],
    );
  });
});
