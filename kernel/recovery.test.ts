import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineZone } from './definition.ts';
import { type PointInTime, type RecoveryStep, recover } from './recovery.ts';
import { newHost, stateAt, type Turnstile, turnstile } from './testing/index.ts';

const gate = 'turnstile/gate';

/** A host that admitted one person a second, five times, with snapshots after the second and the fourth. */
async function history() {
  const parts = newHost([turnstile]);
  await parts.host.open(gate);
  for (let count = 1; count <= 5; count++) {
    parts.host.send(gate, { type: 'Admit', people: 1 });
    await parts.clock.settle();
    if (count === 2) await parts.host.snapshotAll('cold');
    if (count === 4) await parts.host.snapshotAll('hot');
    parts.clock.jump(1_000);
  }
  return parts;
}

describe('the recovery ladder', () => {
  test('takes the newest hot snapshot and the log’s tail', async () => {
    const { log, hot, cold } = await history();
    const sources: string[] = [];
    const { host } = newHost([turnstile], {
      log,
      hot,
      cold,
      options: { onRecovered: (_zone, steps) => sources.push(...steps.map((step) => `${step.source} ${step.outcome}`)) },
    });
    await host.open(gate);
    assert.equal((host.view(gate)?.state as Turnstile).admitted, 5);
    assert.deepEqual(sources, ['hot 4', 'replay 5']);
  });

  test('falls back from hot to cold, from a damaged snapshot to the one before, and at last to replay', async () => {
    const { host: first, clock, log, cold } = await history();
    first.send(gate, { type: 'Admit', people: 1 });
    await clock.settle();
    await first.snapshotAll('cold');
    const steps = async () => {
      const sources: string[] = [];
      const onRecovered = (_zone: string, tried: readonly RecoveryStep[]) =>
        void sources.push(...tried.map((step) => `${step.source} ${step.outcome}`));
      const { host } = newHost([turnstile], { log, cold, options: { onRecovered } });
      await host.open(gate);
      assert.equal((host.view(gate)?.state as Turnstile).admitted, 6);
      return sources;
    };
    // Checks the outcome of each source, not only the end: replay alone would give the same state (fault 17).
    assert.deepEqual(await steps(), ['cold 6', 'replay 6']);
    cold.damaged.add(6);
    assert.deepEqual(await steps(), ['cold snapshot at seq 6 cannot be used: checksum differs', 'cold 2', 'replay 6']);
    cold.damaged.add(2);
    assert.deepEqual((await steps()).at(-1), 'replay 6');
    // When retention has dropped the start of the log, only the cold snapshot gives the state.
    cold.damaged.clear();
    log.batches.splice(0, 2);
    assert.deepEqual(await steps(), ['cold 6', 'replay 6']);
  });

  test('returns the state of a zone at any seq and any time, with the same code', async () => {
    const parts = await history();
    for (let seq = 0; seq <= 5; seq++) {
      assert.equal(((await stateAt(parts, turnstile, gate, { seq })).state as Turnstile).admitted, seq);
      assert.equal(((await stateAt(parts, turnstile, gate, { time: 1_000 * seq })).state as Turnstile).admitted, seq);
    }
  });

  test('a gap in the log that no snapshot bridges is an error that names it', async () => {
    const { log } = await history();
    log.batches.splice(1, 1);
    const { host } = newHost([turnstile], { log });
    await assert.rejects(host.open(gate), /is at seq 3, but lacks seq 2/);
  });

  test('fault 44: a cold snapshot that is newer than the hot ones is used before them', async () => {
    const { host, clock, log, hot, cold } = await history();
    host.send(gate, { type: 'Admit', people: 1 });
    await clock.settle();
    await host.snapshotAll('cold');
    // The events after the newest hot snapshot, of event 4, are dropped.
    log.batches.splice(4, 2);
    const next = newHost([turnstile], { log, hot, cold });
    await next.host.open(gate);
    assert.equal((next.host.view(gate)?.state as Turnstile).admitted, 6);
  });

  test('a cold store that does not respond delays a zone with a hot snapshot by half a second', async () => {
    const { log, hot, cold } = await history();
    cold.list = () => new Promise(() => {});
    const { host, clock } = newHost([turnstile], { log, hot, cold });
    const opening = host.open(gate);
    await clock.advance(500);
    await opening;
    assert.equal((host.view(gate)?.state as Turnstile).admitted, 5);
  });

  test('fault 44: a point in time is returned only when none of its events can be missing', async () => {
    const parts = await history();
    const { log } = parts;
    // The third event is missing; the cold snapshot is of the second.
    log.batches.splice(2, 1);
    const admittedAt = async (moment: PointInTime) => ((await stateAt(parts, turnstile, gate, moment)).state as Turnstile).admitted;
    for (const moment of [{ time: 2_000 }, { time: 3_999 }, { seq: 3 }])
      await assert.rejects(admittedAt(moment), /is at seq 4, but lacks seq 3/, JSON.stringify(moment));
    assert.equal(await admittedAt({ seq: 2 }), 2, 'the snapshot itself');
    assert.equal(await admittedAt({ time: 4_000 }), 4);
    assert.equal(await admittedAt({ seq: 5 }), 5);
    const followed = async (time: number) => (await recover(turnstile, gate, parts, { time })).isFollowed;
    assert.deepEqual([await followed(4_999), await followed(5_000)], [true, false]);
  });

  test('a third owner skips a snapshot of the first if the second decided other events', async () => {
    const first = newHost([turnstile]);
    await first.host.open(gate);
    first.log.away = 'no route';
    first.host.send(gate, { type: 'Admit', people: 7 });
    await first.clock.settle();
    await first.host.snapshotAll('hot');
    first.log.away = null;
    const second = newHost([turnstile], { log: first.log });
    await second.host.open(gate);
    second.host.send(gate, { type: 'Admit', people: 1 });
    await second.clock.settle();
    const third = newHost([turnstile], { log: first.log, hot: first.hot });
    await third.host.open(gate);
    assert.equal((third.host.view(gate)?.state as Turnstile).admitted, 1);
  });

  test('a released zone can be opened on another host at once, with all events', async () => {
    const first = newHost([turnstile]);
    await first.host.open(gate);
    first.host.send(gate, { type: 'Admit', people: 7 });
    const released = first.host.release(gate);
    await first.clock.settle();
    await released;
    assert.equal(first.host.send(gate, { type: 'Admit', people: 1 }), false);
    const second = newHost([turnstile], { log: first.log, hot: first.hot });
    await second.host.open(gate);
    assert.equal((second.host.view(gate)?.state as Turnstile).admitted, 7);
    assert.equal(second.hot.snapshots.length, 1);
  });

  test('events of an older version are upcast, and snapshots of one without an upcast are skipped', async () => {
    const { log, hot } = await history();
    const second = defineZone<{ heads: number }, never, { type: 'HeadsCounted'; heads: number }>({
      kind: 'turnstile',
      version: 2,
      create: () => ({ heads: 0 }),
      decide: () => {},
      evolve: (state, event) => {
        state.heads += event.heads;
      },
      upcast: (event) => ({ type: 'HeadsCounted', heads: (event as { people: number }).people }),
    });
    const { host } = newHost([second], { log, hot });
    await host.open(gate);
    assert.deepEqual(host.view(gate)?.state, { heads: 5 });
  });
});
