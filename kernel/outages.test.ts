import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventBatch } from './batch.ts';
import { defineZone } from './definition.ts';
import { ManualClock, MemoryLog, MemorySnapshots, MemorySpools, newHost, settled, type Turnstile, turnstile } from './testing/index.ts';

const gate = 'turnstile/gate';
const admit = (people = 1) => ({ type: 'Admit', people }) as const;
const admittedIn = (view: { state: unknown } | undefined) => (view?.state as Turnstile | undefined)?.admitted;

describe('a zone is never opened behind the end of its log:', () => {
  /** Ten events on record, and a hot snapshot after the seventh. */
  async function history() {
    const parts = newHost([turnstile]);
    await settled(parts.clock, parts.host.open(gate));
    for (let count = 1; count <= 10; count++) {
      parts.host.send(gate, admit());
      await parts.clock.settle();
      if (count === 7) await parts.host.snapshot(gate, 'hot');
    }
    return parts;
  }

  for (const [dropped, reached] of [
    [8, 7],
    [10, 7],
  ] as const)
    test(`the first ${dropped} of 10 events were dropped, and its snapshot is at seq ${reached}`, async () => {
      const { log, hot } = await history();
      log.batches.splice(0, dropped);
      const { host, clock, failures } = newHost([turnstile], { log, hot });
      await settled(clock, assert.rejects(host.open(gate), /turnstile\/gate: the log is at seq (9|10), but lacks seq 8, and no snapshot/));
      assert.equal(host.status(gate), 'stopped');
      assert.deepEqual(
        failures.map(({ kind }) => kind),
        ['recovery'],
      );
      assert.equal((await host.submit(gate, admit())).ok, false);
    });

  test('all events were dropped, and no snapshot can be used', async () => {
    const { log, hot } = await history();
    log.batches.splice(0);
    const older = { ...turnstile, version: turnstile.version - 1 };
    for (const parts of [newHost([older], { log, hot }), newHost([turnstile], { log, hot: new MemorySnapshots() })])
      await settled(parts.clock, assert.rejects(parts.host.open(gate), /the log is at seq 10, but lacks seq 1/));
    const unavailable = new MemorySnapshots();
    unavailable.list = () => Promise.reject(new Error('the store does not respond'));
    const { host, clock } = newHost([turnstile], { log, hot: unavailable });
    await settled(clock, assert.rejects(host.open(gate), /lacks seq 1/));
  });

  test('its events go from the spool to the log while it is rebuilt', async () => {
    const log = new MemoryLog();
    const { host, clock } = newHost([turnstile], { log });
    await settled(clock, host.open(gate));
    host.send(gate, admit(5));
    await clock.settle();
    log.away = 'gone';
    const replies = Array.from({ length: 3 }, () => host.submit(gate, admit(), { durable: true }));
    await clock.settle();
    // The rebuild sees the log as it was before the spooled events.
    const read = log.read.bind(log);
    let isHeld = true;
    let goOn = () => {};
    log.read = async function* (...given) {
      const seen = [...log.batches];
      if (!isHeld) return yield* read(...given);
      isHeld = false;
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      for (const batch of seen) if (batch.zone === given[0] && batch.firstSeq > given[1]) yield structuredClone(batch);
    };
    host.send(gate, { type: 'Break' });
    await clock.settle();
    log.away = null;
    await clock.advance(3_000);
    for (const reply of await Promise.all(replies)) assert.equal(reply.ok, true);
    goOn();
    await clock.advance(60_000);
    assert.deepEqual([host.status(gate), admittedIn(host.view(gate)), host.view(gate)?.seq], ['active', 8, 4]);
    const last = await settled(clock, host.submit(gate, admit(), { durable: true }));
    assert.deepEqual(last, { ok: true, seq: 5 });
    assert.equal(log.batches.flatMap(({ events }) => events).length, 5);
  });
});

describe('events on the spool of a zone whose claim', () => {
  /** A log with one recorded event of the gate, and a spool with two more. */
  async function spooled() {
    const log = new MemoryLog();
    const spools = new MemorySpools();
    const first = newHost([turnstile], { log, spools });
    await settled(first.clock, first.host.open(gate));
    first.host.send(gate, admit());
    await first.clock.settle();
    log.away = 'gone';
    for (let count = 0; count < 2; count++) {
      first.host.send(gate, admit());
      await first.clock.settle();
    }
    assert.equal(spools.batches, 2);
    log.away = null;
    return { log, spools: spools.reopened() };
  }

  test('took effect after its time limit are there when the zone opens later', async () => {
    const { log, spools } = await spooled();
    const own = log.own.bind(log);
    let late = () => {};
    log.own = (...claim) =>
      new Promise((resolve, reject) => {
        late = () => void own(...claim).then(resolve, reject);
      });
    const { host, clock } = newHost([turnstile], { log, spools });
    const refused = assert.rejects(host.open(gate), /no answer from the log/);
    await clock.advance(10_000);
    await refused;
    Object.assign(log, { own });
    late();
    await clock.advance(60_000);
    await settled(clock, host.open(gate));
    await clock.settle();
    assert.equal(spools.batches, 0);
    assert.deepEqual([admittedIn(host.view(gate)), host.view(gate)?.seq, host.stats().outbox.lostEvents], [3, 3, 0]);
    await clock.advance(1_000);
    assert.equal(log.batches.flatMap(({ events }) => events).length, 3);
  });

  test('was not followed by a recovery, because the process ended, are there as well', async () => {
    const { log, spools } = await spooled();
    // The claim of an owner that ended before it had written anything.
    await log.own(log.shardOf(gate), {
      lease: { leftMs: () => 1 },
      onPrevious: (...owners) => void spools.open(log.shardOf(gate), ...owners),
    });
    const { host, clock } = newHost([turnstile], { log, spools });
    await settled(clock, host.open(gate));
    await clock.advance(60_000);
    assert.equal(spools.batches, 0);
    assert.deepEqual([admittedIn(host.view(gate)), host.stats().outbox.lostEvents], [3, 0]);
  });

  test('succeeded before the recovery failed are there when the zone opens later, in another process as well', async () => {
    const { log, spools } = await spooled();
    const [append, read] = [log.append.bind(log), log.read.bind(log)];
    log.append = () => new Promise(() => {});
    log.read = async function* () {
      yield await Promise.reject<EventBatch>(new Error('EIO: read'));
    };
    const { host, clock } = newHost([turnstile], { log, spools });
    await settled(clock, assert.rejects(host.open(gate), /EIO: read/));
    Object.assign(log, { append, read });
    const later = newHost([turnstile], { log, spools: spools.reopened() });
    await settled(later.clock, later.host.open(gate));
    await later.clock.advance(1_000);
    assert.deepEqual([admittedIn(later.host.view(gate)), later.spools.batches], [3, 0]);
    assert.equal(log.batches.flatMap(({ events }) => events).length, 3);
  });

  test('was made by another owner that continued are not part of the zone', async () => {
    const { log, spools } = await spooled();
    const clock = new ManualClock(1_000);
    const other = newHost([turnstile], { log, clock });
    await settled(clock, other.host.open(gate));
    other.host.send(gate, admit(10));
    await clock.advance(60_000);
    const { host } = newHost([turnstile], { log, spools, clock });
    await settled(clock, host.open(gate));
    assert.equal(admittedIn(host.view(gate)), 11);
  });
});

describe('while the log is unavailable', () => {
  test('an open zone opens at once, also when it is to be released', async () => {
    const { host, clock, log } = newHost([turnstile], { options: { zonesMax: 3 } });
    const zones = ['a', 'b', 'c'].map((name) => `turnstile/${name}` as const);
    for (const zone of zones) await settled(clock, host.open(zone));
    log.away = 'gone';
    for (const zone of zones) host.send(zone, admit());
    await clock.settle();
    await settled(clock, assert.rejects(host.open('turnstile/d'), /gone/));
    const opened: string[] = [];
    for (const zone of zones) void host.open(zone).then(() => opened.push(zone));
    await clock.settle();
    assert.deepEqual(opened, zones);
    for (const zone of zones) assert.equal((await settled(clock, host.submit(zone, admit()))).ok, true);
  });
});

test('a zone whose clock jumps ahead by a century skips all steps but the last at once', async () => {
  let steps = 0;
  const ticking = defineZone<{ n: number }, never, { type: 'Ticked' }>({
    kind: 'ticking',
    version: 1,
    create: () => ({ n: 0 }),
    decide: () => {},
    evolve: () => {},
    tickMs: 50,
    tick: () => void steps++,
  });
  const skipped: number[] = [];
  const { host, clock } = newHost([ticking], { options: { onTick: (stats) => skipped.push(stats.skippedSteps) } });
  await settled(clock, host.open('ticking/a'));
  const century = 36_525 * 24 * 3_600_000;
  clock.jump(century);
  await clock.advance(0);
  assert.deepEqual([steps, skipped[0]], [5, century / 50 - 5]);
});

describe('a zone that fails while its log is unavailable', () => {
  test('decides each command that `send` accepted, in order, and refuses those whose senders wait', async () => {
    const { host, clock, log, decided } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    log.away = 'gone';
    host.send(gate, { type: 'Break' });
    const replies: string[] = [];
    for (let people = 1; people <= 3; people++) {
      assert.ok(host.send(gate, admit(people)));
      void host.submit(gate, admit(50)).then((reply) => replies.push(reply.ok ? 'decided' : reply.code));
    }
    await clock.settle();
    assert.deepEqual([host.status(gate), host.send(gate, admit(9)), host.waiting(gate)], ['failed', false, 3]);
    assert.deepEqual(replies, ['ZONE_STOPPED', 'ZONE_STOPPED', 'ZONE_STOPPED']);
    log.away = null;
    await clock.advance(10_000);
    const people = decided.flatMap(({ events }) => (events as unknown as { people: number }[]).map((event) => event.people));
    assert.deepEqual([host.status(gate), people], ['active', [1, 2, 3]]);
  });
});

test('a zone opens with very many batches on its spool', async () => {
  const batches = 150_000;
  const log = new MemoryLog();
  const spools = new MemorySpools();
  const batch = { zone: gate, epoch: 1, time: 0, version: turnstile.version, metas: null, events: [{ type: 'Admitted', people: 1 }] };
  const left = Array.from({ length: batches }, (_none, index): EventBatch => ({ ...batch, firstSeq: index + 1 }));
  spools.open = () => Object.assign(new MemorySpools().open(0, 'a', ''), { ofZone: () => left });
  const { host, clock } = newHost([{ ...turnstile, create: () => ({ admitted: 0, capacity: 1e9, drawn: [], ticks: [] }) }], {
    log,
    spools,
  });
  await settled(clock, host.open(gate));
  assert.equal(host.view(gate)?.seq, batches);
});
