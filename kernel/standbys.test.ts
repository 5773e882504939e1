import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineZone } from './definition.ts';
import type { RecoveryStep } from './recovery.ts';
import {
  CountingClock,
  ManualClock,
  MemoryLog,
  MemorySnapshots,
  newHost,
  settled,
  type TestHost,
  type Turnstile,
  turnstile,
} from './testing/index.ts';

const [a, b, c] = ['turnstile/a', 'turnstile/b', 'turnstile/c'] as const;
const admit = (people = 1) => ({ type: 'Admit', people }) as const;
const admittedIn = (view: { state: unknown } | undefined) => (view?.state as Turnstile | undefined)?.admitted;
type Parts = NonNullable<Parameters<typeof newHost>[1]>;

/** An owner of zones in one shard, and a host that stands by for them. */
async function pair(zones: readonly string[], standby: Parts & { definition?: typeof turnstile } = {}) {
  const clock = standby.clock ?? new ManualClock(1_000);
  const log = new MemoryLog();
  log.areTogether = true;
  const owner = newHost([turnstile], { clock, log });
  for (const zone of zones) await settled(clock, owner.host.open(zone));
  const steps: RecoveryStep[] = [];
  const { definition = turnstile, options, ...parts } = standby;
  const onRecovered = (_zone: string, tried: readonly RecoveryStep[]) => void steps.push(...tried);
  const other = newHost([definition], { clock, log, ...parts, options: { ...options, onRecovered } });
  const stand = async () => {
    other.host.standBy(zones);
    await clock.settle();
  };
  const send = async (zone: string, command: object = admit()) => {
    owner.host.send(zone, command);
    await clock.settle();
  };
  const outcomes = () => steps.splice(0).map(({ source, outcome }) => `${source} ${outcome}`);
  return { clock, log, owner, standby: other, stand, send, outcomes };
}

const unread = (): MemorySnapshots => {
  const store = new MemorySnapshots();
  store.list = () => Promise.reject(new Error('it is not read'));
  return store;
};

describe('a host that stands by', () => {
  test('has the zones of the shard and each event once it is durable, and recovers them without snapshots', async () => {
    const { clock, log, standby, stand, send, outcomes } = await pair([a, b]);
    await send(a);
    await stand();
    await send(a, admit(3));
    await send(b);
    assert.deepEqual(
      [standby.host.standbyOf(a), standby.host.standbyOf(b)].map((copy) => [copy?.seq, admittedIn(copy)]),
      [
        [2, 4],
        [1, 1],
      ],
    );
    assert.deepEqual(standby.host.stats().standby, { shards: 1, completeShards: 1, zones: 2, lagRecords: 0 });
    log.away = 'gone';
    await send(a);
    assert.equal(standby.host.standbyOf(a)?.seq, 2, 'a decision that is not durable is not in the copy');
    log.away = null;
    await clock.advance(10_000);
    const { hot, cold } = standby;
    Object.assign(hot, { list: unread().list });
    Object.assign(cold, { list: unread().list });
    for (const zone of [a, b]) await settled(clock, standby.host.open(zone));
    assert.deepEqual(outcomes(), ['standby 3', 'replay 3', 'standby 1', 'replay 1']);
    assert.deepEqual([admittedIn(standby.host.view(a)), admittedIn(standby.host.view(b))], [5, 1]);
  });

  test('begins with a zone that appears later at its first event, and with one that has a snapshot at that', async () => {
    const snapshots = new MemorySnapshots();
    const { clock, log, owner, standby, send, stand } = await pair([a, b], { cold: snapshots });
    await send(a, admit(7));
    await settled(clock, owner.host.snapshotAll('cold'));
    snapshots.snapshots.push(...owner.cold.snapshots);
    log.retain(0);
    await stand();
    assert.deepEqual([standby.host.standbyOf(a)?.seq, standby.host.standbyOf(b)], [1, undefined]);
    await send(b, admit(2));
    await send(a);
    assert.deepEqual([admittedIn(standby.host.standbyOf(a)), admittedIn(standby.host.standbyOf(b))], [8, 2]);
  });

  test('does not follow a shard that it owns, and follows it again when it has lost it', async () => {
    const { clock, log, standby, owner, stand, send } = await pair([a, b]);
    await send(b);
    await stand();
    await send(a);
    await settled(clock, standby.host.open(a));
    assert.deepEqual(standby.host.stats().standby, { shards: 0, completeShards: 0, zones: 1, lagRecords: 0 });
    standby.host.send(a, admit(5));
    await clock.settle();
    assert.equal(admittedIn(standby.host.view(a)), 6);
    await send(a);
    await settled(clock, owner.host.open(a));
    log.away = 'gone';
    standby.host.abandon(a);
    await clock.settle();
    assert.deepEqual(standby.host.stats().standby, { shards: 1, completeShards: 0, zones: 0, lagRecords: 0 }, 'it begins anew');
    log.away = null;
    await clock.advance(1_000);
    await send(a);
    assert.equal(admittedIn(standby.host.standbyOf(a)), 7);
    standby.host.standBy([]);
    assert.equal(standby.host.standbyOf(a), undefined);
  });

  test('keeps the copies of zones that it does not open at once, for a minute, unchanged', async () => {
    const { clock, standby, stand, send, outcomes } = await pair([a, b, c]);
    for (const zone of [a, b, c]) await send(zone);
    await stand();
    await settled(clock, standby.host.open(a));
    standby.host.send(a, admit());
    await clock.advance(50_000);
    await settled(clock, standby.host.open(b));
    await clock.advance(11_000);
    await settled(clock, standby.host.open(c));
    assert.deepEqual(outcomes(), ['standby 1', 'replay 1', 'standby 1', 'replay 1', 'replay 1']);
    assert.deepEqual(
      [a, b, c].map((zone) => admittedIn(standby.host.view(zone))),
      [2, 1, 1],
    );
  });

  test('drops the copies of the zones that have not changed for longest above its limit, and recovers them from the record', async () => {
    const zones = Array.from({ length: 12 }, (_none, index) => `turnstile/${index}`);
    const { clock, standby, stand, send, outcomes } = await pair(zones, { options: { standbyZonesMax: 10 } });
    await stand();
    for (const zone of zones) {
      clock.jump(10);
      await send(zone);
    }
    const kept = () => zones.flatMap((zone, index) => (standby.host.standbyOf(zone) ? [index] : []));
    assert.deepEqual(kept(), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    clock.jump(10);
    await send(zones[0] as string, admit(4));
    await clock.settle();
    assert.deepEqual(kept(), [0, 4, 5, 6, 7, 8, 9, 10, 11], 'one that changes returns');
    assert.equal(admittedIn(standby.host.standbyOf(zones[0] as string)), 5);
    for (const zone of zones.slice(0, 2)) await settled(clock, standby.host.open(zone));
    assert.deepEqual(outcomes(), ['standby 2', 'replay 2', 'replay 1']);
  });

  test('lets no event pass while the copy of its zone is recovered', async () => {
    const { clock, log, standby, stand, send } = await pair([a, b], { options: { standbyZonesMax: 1 } });
    await stand();
    await send(a);
    clock.jump(10);
    await send(b);
    const read = log.read.bind(log);
    const isHeld = Promise.withResolvers<void>();
    log.read = async function* (...given) {
      yield* read(...given);
      await isHeld.promise;
    };
    for (let count = 0; count < 3; count++) {
      clock.jump(10);
      await send(a);
    }
    assert.equal(standby.host.standbyOf(a), undefined);
    isHeld.resolve();
    await clock.settle();
    assert.equal(standby.host.standbyOf(a)?.seq, 4);
    assert.deepEqual(standby.failures, []);
  });

  test('leaves no timer and reads nothing more when it is closed', async () => {
    const clock = new CountingClock(1_000);
    const { log, standby, stand, send } = await pair([a], { clock });
    await stand();
    log.away = 'gone';
    log.wake();
    await clock.settle();
    const before = clock.timers;
    await settled(clock, standby.host.close());
    assert.equal(clock.timers, before - 1);
    log.away = null;
    await send(a);
    assert.equal(standby.host.standbyOf(a), undefined);
  });
});

describe('a failure of a standby', () => {
  const failuresOf = ({ failures }: TestHost) => failures.map(({ kind, message }) => `${kind}: ${message}`);

  test('of the log is reported once, leaves the copies as they are, and they continue', async () => {
    const { clock, log, standby, stand, send } = await pair([a]);
    await send(a);
    await stand();
    log.away = 'gone';
    log.wake();
    await clock.settle();
    assert.equal(standby.host.standbyOf(a)?.seq, 1);
    const reported = ['standby: shard 0 cannot be followed: gone; the host tries it again'];
    assert.deepEqual(failuresOf(standby), reported);
    await clock.advance(60_000);
    assert.deepEqual(failuresOf(standby), reported);
    log.away = null;
    const begins: unknown[] = [];
    const follow = log.follow.bind(log);
    log.follow = (shard, from, signal) => {
      begins.push(from);
      return follow(shard, from, signal);
    };
    await send(a);
    await clock.advance(5_000);
    assert.equal(standby.host.standbyOf(a)?.seq, 2);
    log.away = 'gone again';
    log.wake();
    await clock.settle();
    log.away = null;
    await clock.advance(1_000);
    assert.equal((begins.at(-1) as number[]).length, 1, 'it continues after the newest batch');
    assert.ok(Number(begins.at(-1)) > Number(begins[0]), JSON.stringify(begins));
    assert.match(failuresOf(standby)[1] ?? '', /gone again/);
  });

  test('of one zone ends its copy only, and it is recovered without one', async () => {
    let isBroken = true;
    const definition = defineZone({
      ...turnstile,
      evolve: (state, event) => {
        turnstile.evolve(state, event);
        if (isBroken && event.type === 'Drawn') throw new Error('the new code is broken');
      },
    });
    const { clock, standby, stand, send, outcomes } = await pair([a, b], { definition });
    await stand();
    for (const zone of [a, b]) await send(zone);
    await send(a, { type: 'Draw' });
    await send(a);
    assert.deepEqual([standby.host.standbyOf(a), standby.host.standbyOf(b)?.seq], [undefined, 1]);
    assert.deepEqual(failuresOf(standby), [`standby: ${a} has no standby copy: the new code is broken`]);
    isBroken = false;
    await settled(clock, standby.host.open(a));
    assert.deepEqual(outcomes(), ['replay 3']);
  });

  test('at the beginning is tried again', async () => {
    const { clock, log, standby, stand, send } = await pair([a]);
    await send(a);
    log.away = 'gone';
    await stand();
    assert.equal(standby.host.standbyOf(a), undefined);
    log.away = null;
    await clock.advance(1_000);
    assert.equal(standby.host.standbyOf(a)?.seq, 1);
  });

  test('that retention has overtaken begins again with the snapshots', async () => {
    const snapshots = new MemorySnapshots();
    const { clock, log, owner, standby, stand, send } = await pair([a], { cold: snapshots });
    await stand();
    await send(a);
    log.away = 'gone';
    log.wake();
    await clock.settle();
    log.away = null;
    await send(a);
    await settled(clock, owner.host.snapshotAll('cold'));
    snapshots.snapshots.push(...owner.cold.snapshots);
    log.retain(0);
    await clock.advance(1_000);
    assert.equal(standby.host.standbyOf(a)?.seq, 1, 'it does not know yet that it lacks an event');
    await send(a);
    await clock.settle();
    assert.equal(admittedIn(standby.host.standbyOf(a)), 3);
    await send(a);
    assert.equal(admittedIn(standby.host.standbyOf(a)), 4);
  });

  test('in the events after its copy makes the recovery continue with the snapshots', async () => {
    let isBroken = false;
    const definition = defineZone({
      ...turnstile,
      evolve: (state, event) => {
        turnstile.evolve(state, event);
        if (isBroken) throw new Error('broken once');
      },
    });
    const { clock, log, standby, stand, send, outcomes } = await pair([a], { definition });
    await send(a);
    await stand();
    // The follower does not get the last event before the takeover.
    log.wake = () => {};
    await send(a, admit(2));
    isBroken = true;
    const read = log.read.bind(log);
    log.read = async function* (...given) {
      try {
        yield* read(...given);
      } finally {
        isBroken = false;
      }
    };
    await settled(clock, standby.host.open(a));
    assert.deepEqual(outcomes(), ['standby 1', 'standby cannot be continued: broken once', 'replay 2']);
    assert.equal(admittedIn(standby.host.view(a)), 3);
  });
});

describe('a copy', () => {
  test('with events that the claim does not know is not used', async () => {
    const { clock, log, standby, stand, send, outcomes } = await pair([a]);
    await send(a);
    await stand();
    const own = log.own.bind(log);
    log.own = async (...claim) => ({ ...(await own(...claim)), headOf: () => 0 });
    const listed: string[] = [];
    standby.hot.list = async (zone) => {
      listed.push(zone);
      return [];
    };
    await settled(clock, standby.host.open(a));
    assert.deepEqual(outcomes(), ['standby the copy is at seq 1, but the log ends at 0', 'replay 1']);
    assert.deepEqual(listed, [a]);
  });

  // The difference to a recovery: replies that are in snapshots only. See the docs of `standBy`.
  test('remembers replies without events as of the snapshot that it began with, unless the kind keeps replies', async () => {
    for (const repliesKept of [undefined, { number: 10 }]) {
      const definition = defineZone({ ...turnstile, ...(repliesKept && { repliesKept }) });
      const clock = new ManualClock(1_000);
      const cold = new MemorySnapshots();
      const log = new MemoryLog();
      const [owner, standby] = [0, 1].map(() => newHost([definition], { clock, log, cold })) as [TestHost, TestHost];
      await settled(clock, owner.host.open(a));
      await settled(clock, owner.host.submit(a, admit(90), { id: 'c1' }));
      standby.host.standBy([a]);
      await clock.settle();
      const late = await settled(clock, owner.host.submit(a, admit(11), { id: 'c2', source: { name: 's', place: 1 } }));
      assert.equal(late.ok, false);
      await settled(clock, owner.host.snapshotAll('cold'));
      const { refused, places } = standby.host.standbyOf(a) ?? {};
      assert.deepEqual([refused?.map(([id]) => id), places], repliesKept ? [['c2'], [['s', 1]]] : [undefined, undefined]);
    }
  });
});

describe('a recovery while events become durable', () => {
  /** A zone of 8 events. Each read of the log ends before the next event is durable; `missing` is never there. */
  async function opened(missing = 9) {
    const { host, clock, log } = newHost([turnstile]);
    await settled(clock, host.open(a));
    for (let count = 0; count < 8; count++) await settled(clock, host.submit(a, admit(), { durable: true }));
    let durable = 1;
    const [own, read] = [log.own.bind(log), log.read.bind(log)];
    log.own = async (...claim) => ({ ...(await own(...claim)), headOf: () => durable });
    log.read = async function* (...given) {
      const upTo = durable;
      for await (const batch of read(...given)) if (batch.firstSeq <= upTo && batch.firstSeq < missing) yield batch;
      durable = Math.min(8, durable + 1);
    };
    const next = newHost([turnstile], { clock, log });
    const outcome = await settled(
      clock,
      next.host.open(a).then(
        () => admittedIn(next.host.view(a)),
        (error) => String(error),
      ),
    );
    return outcome;
  }

  test('reads on as long as there are more of them', async () => {
    assert.equal(await opened(), 8);
  });

  test('fails when the log lacks one', async () => {
    assert.match(String(await opened(6)), /lacks seq 6, and no snapshot reaches it/);
  });
});
