import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Reply } from './command.ts';
import {
  beating,
  CountingClock,
  guardedLog,
  ManualClock,
  MemoryLog,
  MemorySpools,
  newHost,
  settled,
  type Turnstile,
  turnstile,
} from './testing/index.ts';

const [gate, other] = ['turnstile/gate', 'turnstile/other'] as const;
const admit = (people = 1) => ({ type: 'Admit', people }) as const;
const admittedIn = (view: { state: unknown } | undefined) => (view?.state as Turnstile | undefined)?.admitted;
const outcomeOf = (reply: Reply | undefined) => (reply === undefined ? 'waits' : reply.ok ? reply.seq : reply.code);

/** A log with all zones in one shard. */
const oneShard = () => Object.assign(new MemoryLog(), { areTogether: true });

/** What `submit` has replied so far. */
function submitted(host: ReturnType<typeof newHost>['host'], zone: string, options = {}) {
  const result: { reply?: Reply } = {};
  void host.submit(zone, admit(), { durable: true, ...options }).then((reply) => {
    result.reply = reply;
  });
  return result;
}

/** Makes the release of a writer wait for `end`. */
function holdReleases(log: MemoryLog): { end: () => void } {
  const releases = { end: () => {} };
  const own = log.own.bind(log);
  const release = () => new Promise<void>((resolve) => Object.assign(releases, { end: resolve }));
  log.own = async (...claim) => ({ ...(await own(...claim)), release });
  return releases;
}

describe('a shard', () => {
  test('is claimed with its first zone, and released with its last, when the log has all events', async () => {
    const log = oneShard();
    let claims = 0;
    const guarded = guardedLog(log, async (call) => void (call === 'own' && claims++));
    const { host, clock } = newHost([turnstile], { log: guarded as MemoryLog });
    await settled(clock, Promise.all([host.open(gate), host.open(other)]));
    assert.deepEqual([claims, host.stats().shards, host.view(gate)?.epoch, host.view(other)?.epoch], [1, 1, 1, 1]);
    host.send(gate, admit());
    await settled(clock, host.release(gate));
    assert.equal(host.stats().shards, 1);
    await settled(clock, host.release(other));
    assert.deepEqual([host.stats().shards, log.batches.length, host.stats().outbox.appendedEvents], [0, 1, 1]);
    await settled(clock, host.open(gate));
    assert.deepEqual([claims, host.view(gate)?.epoch, admittedIn(host.view(gate))], [2, 2, 1]);
  });

  test('that was released is claimed again only after that', async () => {
    const log = oneShard();
    const releases = holdReleases(log);
    const { host, clock } = newHost([turnstile], { log });
    await settled(clock, host.open(gate));
    await settled(clock, host.release(gate));
    let isOpen = false;
    void host.open(gate).then(() => {
      isOpen = true;
    });
    await clock.settle();
    assert.equal(isOpen, false);
    releases.end();
    await clock.settle();
    assert.equal(isOpen, true);
  });

  test('that is claimed again before its release has ended keeps its counts: counters never go back', async () => {
    const log = oneShard();
    const releases = holdReleases(log);
    const { host, clock } = newHost([turnstile], { log });
    await settled(clock, host.open(gate));
    log.failAfterWriting = true;
    host.send(gate, admit());
    await clock.settle();
    log.failAfterWriting = false;
    await clock.advance(1_000);
    const counts = () => {
      const { appendedEvents, failures } = host.stats().outbox;
      return [appendedEvents, failures];
    };
    assert.deepEqual(counts(), [1, 1]);
    await settled(clock, host.release(gate));
    assert.deepEqual(counts(), [1, 1]);
    const again = host.open(gate);
    await clock.settle();
    assert.deepEqual(counts(), [1, 1], 'of the ownership that has not ended yet');
    releases.end();
    await settled(clock, again);
    assert.deepEqual(counts(), [1, 1]);
  });

  test('is claimed again after an outage, under a new epoch: its zones keep their state, and nothing is lost or doubled', async () => {
    const { host, clock, log } = newHost([turnstile], { log: oneShard() });
    await settled(clock, Promise.all([host.open(gate), host.open(other)]));
    log.failAfterWriting = true;
    const first = submitted(host, gate);
    await clock.settle();
    assert.equal(host.stats().suspendedShards, 1);
    log.failAfterWriting = false;
    log.away = 'gone';
    const second = submitted(host, other);
    host.send(gate, admit(5));
    await clock.settle();
    assert.deepEqual([outcomeOf(first.reply), outcomeOf(second.reply)], ['waits', 'waits']);
    log.away = null;
    await clock.advance(1_000);
    assert.deepEqual([outcomeOf(first.reply), outcomeOf(second.reply)], [1, 1]);
    assert.deepEqual([host.view(gate)?.epoch, host.view(other)?.epoch, admittedIn(host.view(gate))], [2, 2, 6]);
    assert.deepEqual(
      log.batches.map(({ zone, firstSeq, epoch }) => `${zone} ${firstSeq} of epoch ${epoch}`),
      [`${gate} 1 of epoch 1`, `${other} 1 of epoch 1`, `${gate} 2 of epoch 1`],
    );
  });

  test('that another host has claimed during an outage is not claimed again, and nobody is told that a decision is recorded or refused', async () => {
    const log = oneShard();
    let isCutOff = false;
    const guarded = guardedLog(log, () => (isCutOff ? Promise.reject(new Error('gone')) : Promise.resolve()));
    const old = newHost([turnstile], { log: guarded as MemoryLog });
    await settled(old.clock, Promise.all([old.host.open(gate), old.host.open(other)]));
    isCutOff = true;
    const reply = submitted(old.host, gate);
    await old.clock.settle();
    const next = newHost([turnstile], { log });
    await settled(next.clock, next.host.open(gate));
    isCutOff = false;
    await old.clock.advance(1_000);
    assert.equal(outcomeOf(reply.reply), 'OUTCOME_UNKNOWN');
    assert.deepEqual([old.host.status(gate), old.host.status(other), old.host.stats().shards], ['stopped', 'stopped', 0]);
    assert.equal(old.failures.filter(({ kind }) => kind === 'zone-lost').length, 2);
    assert.deepEqual([log.batches, next.host.view(gate)?.epoch], [[], 2]);
  });

  test('whose claim took effect without a response is known as its own', async () => {
    const log = oneShard();
    const own = log.own.bind(log);
    let isLost = false;
    log.own = async (...claim) => {
      const writer = await own(...claim);
      if (isLost) throw new Error('the response was lost');
      return writer;
    };
    const { host, clock } = newHost([turnstile], { log });
    await settled(clock, host.open(gate));
    isLost = true;
    log.away = 'gone';
    const reply = submitted(host, gate);
    await clock.settle();
    log.away = null;
    await clock.advance(1_000);
    isLost = false;
    await clock.advance(10_000);
    assert.equal(outcomeOf(reply.reply), 1);
    assert.equal(host.status(gate), 'active');
  });

  test('without its log delays no other: durable replies, snapshots and openings go on', async () => {
    const log = new MemoryLog();
    let isAway = false;
    const own = log.own.bind(log);
    log.own = async (shard, claim) => {
      if (isAway && shard === log.shardOf(gate)) throw new Error('gone');
      const writer = await own(shard, claim);
      const append: typeof writer.append = (batches) =>
        isAway && shard === log.shardOf(gate) ? Promise.reject(new Error('gone')) : writer.append(batches);
      return { ...writer, append };
    };
    const { host, clock, hot } = newHost([turnstile], { log });
    await settled(clock, Promise.all([host.open(gate), host.open(other)]));
    isAway = true;
    const [waits, answered] = [submitted(host, gate), submitted(host, other)];
    await clock.settle();
    assert.deepEqual([outcomeOf(waits.reply), outcomeOf(answered.reply)], ['waits', 1]);
    assert.equal(await settled(clock, host.snapshot(other, 'hot')), null);
    assert.equal(hot.snapshots.length, 1);
    await settled(clock, host.open('turnstile/third'));
    assert.deepEqual([host.isRecording, host.stats().suspendedShards], [false, 1]);
    isAway = false;
    await clock.advance(1_000);
    assert.deepEqual([outcomeOf(waits.reply), host.isRecording], [1, true]);
  });

  test('gives each opening of a zone random numbers of its own', async () => {
    const { host, clock } = newHost([turnstile], { log: oneShard() });
    await settled(clock, host.open(other));
    for (let opening = 0; opening < 3; opening++) {
      await settled(clock, host.open(gate));
      host.send(gate, { type: 'Draw' });
      await settled(clock, host.release(gate));
    }
    await settled(clock, host.open(gate));
    const { drawn } = host.view(gate)?.state as Turnstile;
    assert.deepEqual([drawn.length, new Set(drawn).size, host.view(gate)?.epoch], [3, 3, 1]);
  });
});

describe('without its lease a host', () => {
  /** A host with a lease of `leftMs` ms. */
  async function leased(zones: readonly string[] = [gate]) {
    const lease = { leftMs: 1_000 };
    const parts = newHost([turnstile, beating], { options: { lease: { leftMs: () => lease.leftMs } } });
    await settled(parts.clock, Promise.all(zones.map((zone) => parts.host.open(zone))));
    return { ...parts, lease };
  }

  test('shows no state, accepts no command, and decides none, until it is extended', async () => {
    const { host, clock, lease, decided } = await leased([gate, 'beating/heart']);
    host.send(gate, admit());
    lease.leftMs = 0;
    await clock.advance(500);
    assert.deepEqual([host.view(gate), decided, host.waiting(gate)], [undefined, [], 1]);
    assert.equal(outcomeOf(await settled(clock, host.submit(gate, admit()))), 'ZONE_STOPPED');
    lease.leftMs = 1_000;
    await clock.advance(500);
    assert.equal(admittedIn(host.view(gate)), 1);
    assert.ok(decided.some(({ zone }) => zone === 'beating/heart'));
  });

  test('does not tell that a decision is recorded: another owner may have given another answer', async () => {
    const { host, clock, log, lease } = await leased();
    let land = () => {};
    const append = log.append.bind(log);
    log.append = (...given) => new Promise((resolve, reject) => (land = () => void append(...given).then(resolve, reject)));
    const reply = submitted(host, gate);
    await clock.settle();
    lease.leftMs = 0;
    land();
    await clock.settle();
    assert.equal(outcomeOf(reply.reply), 'OUTCOME_UNKNOWN');
    assert.equal(log.batches.length, 1);
  });

  test('does not claim its shards again, and gives its zones up', async () => {
    const { host, clock, log, lease, failures, spools } = await leased();
    log.away = 'gone';
    host.send(gate, admit());
    await clock.settle();
    assert.equal(host.stats().suspendedShards, 1);
    lease.leftMs = 0;
    log.away = null;
    await clock.advance(1_000);
    assert.deepEqual([host.status(gate), log.batches], ['stopped', []]);
    assert.equal(spools.batches, 1, 'for an owner that follows it');
    assert.ok(failures.some(({ kind }) => kind === 'zone-lost'));
  });
});

test('a host that is closed without a lease leaves no timer', async () => {
  const clock = new CountingClock(1_000);
  const lease = { leftMs: 1_000 };
  const { host } = newHost([turnstile], { clock, options: { lease: { leftMs: () => lease.leftMs } } });
  await settled(clock, host.open(gate));
  host.send(gate, admit());
  lease.leftMs = 0;
  await clock.advance(500);
  host.abandon(gate);
  await clock.advance(500);
  await settled(clock, host.close());
  await clock.advance(500);
  assert.equal(clock.timers, 0);
});

test('an abandoned zone: its waiting durable commands get an unknown outcome, and the next owner on the machine has its events', async () => {
  const { host, clock, log, spools } = newHost([turnstile]);
  await settled(clock, host.open(gate));
  log.away = 'gone';
  const reply = submitted(host, gate);
  await clock.settle();
  host.abandon(gate);
  await clock.settle();
  assert.equal(outcomeOf(reply.reply), 'OUTCOME_UNKNOWN');
  log.away = null;
  const next = newHost([turnstile], { log, spools: spools.reopened() });
  await settled(next.clock, next.host.open(gate));
  assert.deepEqual([admittedIn(next.host.view(gate)), log.batches.length, next.host.view(gate)?.epoch], [1, 1, 2]);
});

test('the time of a zone never goes back, also on a host whose clock is behind', async () => {
  const first = newHost([turnstile, beating], { clock: new ManualClock(100_000) });
  await settled(first.clock, Promise.all([first.host.open(gate), first.host.open('beating/heart')]));
  first.host.send(gate, admit());
  await first.clock.advance(1_000);
  await settled(first.clock, first.host.snapshotAll('hot'));
  first.host.send(gate, admit());
  await first.clock.advance(1_000);
  await settled(first.clock, first.host.close());
  for (const stores of [{ hot: first.hot }, {}]) {
    const next = newHost([turnstile, beating], { log: first.log, clock: new ManualClock(90_000), spools: new MemorySpools(), ...stores });
    await settled(next.clock, Promise.all([next.host.open(gate), next.host.open('beating/heart')]));
    for (let count = 0; count < 20; count++) {
      next.host.send(gate, admit());
      await next.clock.advance(100);
    }
    await settled(next.clock, next.host.close());
    for (const zone of [gate, 'beating/heart']) {
      const times = first.log.batches.filter((batch) => batch.zone === zone).map(({ time }) => time);
      assert.deepEqual(
        times,
        [...times].sort((one, another) => one - another),
      );
      assert.ok((times.at(-1) ?? 0) >= 102_000 && (times.at(-1) ?? 0) <= 105_000, String(times));
    }
  }
});
