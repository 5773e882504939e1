import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type EventBatch, lastSeqOf } from './batch.ts';
import { defineZone } from './definition.ts';
import type { RecoveryStep } from './recovery.ts';
import { type ManualClock, newHost, settled, stateAt, type Turnstile, type TurnstileEvent, turnstile } from './testing/index.ts';

const gate = 'turnstile/gate';
const admit = (people = 1) => ({ type: 'Admit', people }) as const;
const admittedIn = (view: { state: unknown } | undefined) => (view?.state as Turnstile | undefined)?.admitted;
type Parts = NonNullable<Parameters<typeof newHost>[1]>;

/** A zone that admitted one person `count` times, a second apart. */
async function recorded(count: number, each: (seq: number, parts: ReturnType<typeof newHost>) => Promise<void> = async () => {}) {
  const parts = newHost([turnstile]);
  await settled(parts.clock, parts.host.open(gate));
  for (let seq = 1; seq <= count; seq++) {
    parts.host.send(gate, admit());
    await parts.clock.settle();
    await each(seq, parts);
    parts.clock.jump(1_000);
  }
  return parts;
}

/** Opens the zone elsewhere. */
async function reopened(parts: Parts, definition = turnstile, pass: (clock: ManualClock) => Promise<void> = (clock) => clock.settle()) {
  const tried: RecoveryStep[] = [];
  const next = newHost([definition], { ...parts, options: { onRecovered: (_zone, steps) => tried.push(...steps) } });
  await Promise.all([next.host.open(gate), pass(next.clock)]);
  return { ...next, tried, outcomes: tried.map(({ source, outcome }) => `${source} ${outcome}`) };
}

describe('each step of a recovery', () => {
  test('reports its duration and outcome, also that a store is unavailable', async () => {
    const { log, hot, cold, clock } = await recorded(3, async (seq, parts) => {
      if (seq === 2) await parts.host.snapshotAll('cold');
    });
    hot.list = () => new Promise(() => {});
    const load = cold.load.bind(cold);
    cold.load = async (label) => {
      clock.jump(70);
      return load(label);
    };
    const read = log.read.bind(log);
    log.read = async function* (...given) {
      clock.jump(30);
      yield* read(...given);
    };
    const { tried } = await reopened({ log, hot, cold, clock }, turnstile, () => clock.advance(5_000));
    assert.deepEqual(
      tried.map(({ source, ms }) => [source, ms]),
      [
        ['hot', 5_000],
        ['cold', 70],
        ['replay', 30],
      ],
    );
    assert.match(String(tried[0]?.outcome), /the store is unavailable: no answer from the hot store within 5000 ms/);
  });

  test('reports why a snapshot is skipped', async () => {
    const { log, hot } = await recorded(2, async (_seq, { host }) => host.snapshotAll('hot'));
    const later = defineZone({ ...turnstile, version: 2, upcast: (event) => event as TurnstileEvent });
    assert.deepEqual((await reopened({ log, hot }, later)).outcomes, [
      'hot snapshot at seq 2 is of version 1, but this code needs version 2',
      'hot snapshot at seq 1 is of version 1, but this code needs version 2',
      'replay 2',
    ]);
  });
});

describe('a cold store that takes a second', () => {
  const slow = async (withHot: boolean) => {
    const parts = await recorded(3, async (seq, { host }) => {
      if (seq === 1 && withHot) await host.snapshotAll('hot');
      if (seq === 2) await host.snapshotAll('cold');
    });
    const { clock, cold } = parts;
    const list = cold.list.bind(cold);
    cold.list = async (zone) => {
      await new Promise<void>((resolve) => void clock.after(1_000, resolve));
      return list(zone);
    };
    return reopened(parts, turnstile, () => clock.advance(5_000));
  };

  test('is waited for when there is no hot snapshot, and else not', async () => {
    assert.deepEqual((await slow(false)).outcomes, ['cold 2', 'replay 3']);
    const { outcomes } = await slow(true);
    assert.match(String(outcomes[0]), /cold the store is unavailable: no answer from the cold store within 500 ms/);
    assert.deepEqual(outcomes.slice(1), ['hot 1', 'replay 3']);
  });
});

describe('events', () => {
  test('of this version are applied without the upcast of older ones', async () => {
    const { log } = await recorded(3);
    const definition = defineZone({ ...turnstile, upcast: () => ({ type: 'Admitted' as const, people: 100 }) });
    assert.equal(admittedIn((await reopened({ log }, definition)).host.view(gate)), 3);
  });
});

describe('a snapshot', () => {
  test('of an older version is used with an upcast of the state, one of this version unchanged, and one of a newer not at all', async () => {
    const doubled = (version: number) =>
      defineZone({
        ...turnstile,
        version,
        upcast: (event) => event as TurnstileEvent,
        upcastState: (state) => ({ ...(state as Turnstile), admitted: (state as Turnstile).admitted + 10 }),
      });
    const { log, hot } = await recorded(2, async (_seq, { host }) => host.snapshotAll('hot'));
    const older = await reopened({ log, hot }, doubled(2));
    assert.deepEqual(older.outcomes, ['hot 2', 'replay 2']);
    assert.equal(admittedIn(older.host.view(gate)), 12);
    assert.equal(admittedIn((await reopened({ log, hot }, doubled(1))).host.view(gate)), 2);
    for (const snapshot of hot.snapshots) Object.assign(snapshot, { version: 2 });
    const newer = await reopened({ log, hot }, doubled(1));
    assert.deepEqual(newer.outcomes.at(-1), 'replay 2');
    assert.equal(admittedIn(newer.host.view(gate)), 2);
  });

  test('at the requested point in time is used for it, by seq and by time', async () => {
    const parts = await recorded(4, async (seq, parts) => {
      if (seq === 2) await parts.host.snapshotAll('cold');
    });
    for (const moment of [{ seq: 2 }, { time: 2_000 }]) {
      const { seq, steps } = await settled(parts.clock, stateAt(parts, turnstile, gate, moment));
      assert.equal(seq, 2);
      assert.deepEqual(
        steps.map(({ source, outcome }) => `${source} ${outcome}`),
        ['cold 2', 'replay 2'],
      );
    }
  });
});

describe('the log', () => {
  test('is read only up to the requested point in time', async () => {
    const parts = await recorded(9);
    const { clock, log } = parts;
    const read = log.read.bind(log);
    let count = 0;
    log.read = async function* (...given) {
      for await (const batch of read(...given)) {
        count++;
        yield batch;
      }
    };
    await settled(clock, stateAt(parts, turnstile, gate, { seq: 3 }));
    assert.equal(count, 3);
  });

  test('counts as unavailable after five seconds without a batch, at first or later, and not while batches arrive', async () => {
    for (const [pausesMs, isGivenUp] of [
      [[4_000, 4_000, 4_000, 4_000], false],
      [[11_000], true],
      [[1_000, 1_000, 1e9], true],
    ] as const) {
      const { log, clock } = await recorded(4);
      const read = log.read.bind(log);
      log.read = async function* (...given) {
        const pauses: number[] = [...pausesMs];
        for await (const batch of read(...given)) {
          await new Promise<void>((resolve) => void clock.after(pauses.shift() ?? 0, resolve));
          yield batch;
        }
      };
      const next = newHost([turnstile], { log, clock });
      const opened = next.host.open(gate).then(
        () => null,
        (error) => String(error),
      );
      await clock.advance(60_000);
      if (isGivenUp) assert.match((await opened) ?? '', /no answer from the log within 5000 ms/);
      else assert.equal(await opened, null);
    }
  });
});

describe('events that an earlier run left on the spool', () => {
  const left = async (recordedFirst: number, spooled: number) => {
    const parts = await recorded(recordedFirst);
    parts.log.away = 'gone';
    for (let count = 0; count < spooled; count++) {
      parts.host.send(gate, admit());
      await parts.clock.settle();
    }
    parts.log.away = null;
    return parts;
  };

  test('are part of the zone when it had no other owner since, whether the log has events of the same owner or not', async () => {
    for (const recordedFirst of [0, 2]) {
      const { log, spools } = await left(recordedFirst, 2);
      const next = await reopened({ log, spools });
      assert.equal(admittedIn(next.host.view(gate)), recordedFirst + 2);
      await next.clock.advance(10_000);
      assert.equal(lastSeqOf(log.batches.at(-1) as EventBatch), recordedFirst + 2);
    }
  });

  test('are not part of it when another owner has decided other events, even if they reach further', async () => {
    const { log, spools } = await left(1, 3);
    const other = await reopened({ log });
    other.host.send(gate, admit(50));
    await other.clock.settle();
    const next = await reopened({ log, spools });
    assert.equal(admittedIn(next.host.view(gate)), 51);
    assert.equal(next.host.view(gate)?.seq, 2);
  });
});
