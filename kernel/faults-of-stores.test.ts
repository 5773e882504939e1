import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventBatch } from './batch.ts';
import type { Reply } from './command.ts';
import { defineZone } from './definition.ts';
import { HeldLog } from './testing/held-log.ts';
import { beating, MemoryLog, MemorySpools, newHost, settled, type Turnstile, type TurnstileEvent, turnstile } from './testing/index.ts';

/*
 * A host with failing and slow stores, a full spool and too many commands. Each number is that of the fault in the review of commit d4ce28a, where the
 * test fails. The title of the test states the law.
 */

const gate = 'turnstile/gate';
const other = 'turnstile/other';
const admittedIn = (view: { state: unknown } | undefined) => (view?.state as Turnstile | undefined)?.admitted;
const admit = (people = 1) => ({ type: 'Admit', people }) as const;

/** The state after the batches of a zone, computed independently of the kernel. */
function admittedAfter(batches: readonly EventBatch[], zone: string, seq: number): number {
  let sum = 0;
  for (const batch of batches)
    for (const [index, event] of (batch.events as TurnstileEvent[]).entries())
      if (batch.zone === zone && batch.firstSeq + index <= seq && event.type === 'Admitted') sum += event.people;
  return sum;
}

describe('a snapshot', () => {
  test('is stored when the log has its events, not before, and not at all when they are lost', async () => {
    const log = new HeldLog();
    const { host, clock, hot, failures } = newHost([turnstile], { log, spools: new MemorySpools(0) });
    await settled(clock, host.open(gate));
    host.send(gate, admit(3));
    await clock.settle();
    const first = host.snapshot(gate, 'hot');
    host.send(gate, admit(4));
    await clock.settle();
    assert.equal(hot.snapshots.length, 0);
    log.appends[0]?.land();
    assert.equal(await settled(clock, first), null);
    const stored = hot.snapshots.map((snapshot) => [snapshot.seq, admittedIn(snapshot)]);
    assert.deepEqual(stored, [[1, 3]], 'as it was captured');
    const second = host.snapshot(gate, 'hot');
    log.away = 'gone';
    log.appends[1]?.fail();
    assert.match((await settled(clock, second)) ?? '', /whether it is recorded is not known here/);
    assert.equal(hot.snapshots.length, 1);
    assert.ok(failures.some(({ kind }) => kind === 'snapshot'));
  });

  test('is not taken while the log is unavailable', async () => {
    const { host, clock, log, hot } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    log.away = 'gone';
    host.send(gate, admit());
    await clock.settle();
    assert.match((await settled(clock, host.snapshot(gate, 'hot'))) ?? '', /the log lacks events/);
    assert.deepEqual([hot.snapshots.length, host.stats().snapshotsSkipped], [0, 1]);
  });

  test('that is newer than the log keeps its zone from opening: the log is an older one', async () => {
    const { host, clock, log, hot } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    host.send(gate, admit(3));
    await clock.settle();
    await settled(clock, host.snapshotAll('hot'));
    for (const older of [new MemoryLog(), log]) {
      const next = newHost([turnstile], { log: older, hot });
      if (older === log) await settled(next.clock, next.host.open(gate));
      else
        await settled(
          next.clock,
          assert.rejects(next.host.open(gate), /a snapshot is at seq 1, but the log ends at seq 0: the log is older/),
        );
    }
  });
});

describe('fault 8: a recorded state is one that the zone had', () => {
  test('a zone that fails with a gap in its record is rebuilt from the record, and its broken state is never written', async () => {
    const { host, clock, log } = newHost([turnstile], { spools: new MemorySpools(1) });
    await settled(clock, host.open(gate));
    log.away = 'gone';
    for (const people of [1, 2, 3]) {
      host.send(gate, admit(people));
      await clock.settle();
    }
    host.send(gate, { type: 'BreakHalfway' });
    await clock.settle();
    log.away = null;
    await clock.advance(120_000);
    assert.equal(host.status(gate), 'active');
    // The record ends before the gap. The seqs of the lost events are not used again.
    assert.deepEqual([admittedIn(host.view(gate)), host.view(gate)?.seq], [1, 3]);
    const [reply] = await Promise.all([host.submit(gate, admit(5), { durable: true }), clock.advance(10_000)]);
    assert.deepEqual(reply, { ok: true, seq: 4 });
    assert.deepEqual(
      log.batches.map(({ firstSeq, loss }) => [firstSeq, loss?.lastSeq]),
      [
        [1, undefined],
        [2, 3],
        [4, undefined],
      ],
    );
    const next = newHost([turnstile], { log });
    await settled(next.clock, next.host.open(gate));
    assert.deepEqual(next.host.view(gate)?.state, host.view(gate)?.state);
    assert.equal(admittedIn(next.host.view(gate)), 6);
  });

  test('a zone whose lost range cannot be recorded yet delays no durable command of another', async () => {
    const { host, clock, log, spools } = newHost([turnstile], { spools: new MemorySpools(1) });
    await settled(clock, Promise.all([host.open(gate), host.open(other)]));
    log.away = 'gone';
    for (const people of [1, 2]) {
      host.send(gate, admit(people));
      await clock.settle();
    }
    spools.of(log.shardOf(gate)).drop(1);
    let reply: Reply | undefined;
    void host.submit(other, admit(), { durable: true }).then((given) => {
      reply = given;
    });
    await clock.settle();
    log.away = null;
    await clock.advance(10_000);
    assert.deepEqual(reply, { ok: true, seq: 1 });
  });
});

describe('fault 9: the log has all events of a released zone', () => {
  test('a release while the log is unavailable waits for it, and the zone continues to decide meanwhile', async () => {
    const roomy = defineZone({ ...turnstile, create: () => ({ ...turnstile.create(''), capacity: 1e9 }) });
    const first = newHost([roomy]);
    await settled(first.clock, first.host.open(gate));
    first.log.away = 'gone';
    for (let count = 0; count < 1_500; count++) {
      first.host.send(gate, admit());
      if (count % 100 === 0) await first.clock.settle();
    }
    let isReleased = false;
    const released = first.host.release(gate).then(() => {
      isReleased = true;
    });
    await first.clock.advance(20_000);
    assert.equal(isReleased, false);
    assert.deepEqual(await settled(first.clock, first.host.submit(gate, admit())), { ok: true, seq: 1_501 });
    first.log.away = null;
    await Promise.all([released, first.clock.advance(20_000)]);
    // Only the log: the next host has neither the spool nor a snapshot of the first one.
    const second = newHost([roomy], { log: first.log });
    await settled(second.clock, second.host.open(gate));
    assert.equal(admittedIn(second.host.view(gate)), 1_501);
  });

  test('a release that waits for the log ends when the zone is abandoned or the host is closed', async () => {
    for (const end of ['abandon', 'close'] as const) {
      const { host, clock, log } = newHost([turnstile]);
      await settled(clock, host.open(gate));
      log.away = 'gone';
      host.send(gate, admit());
      await clock.settle();
      const released = host.release(gate);
      await clock.settle();
      if (end === 'abandon') host.abandon(gate);
      else await settled(clock, host.close());
      await settled(clock, released);
      assert.equal(host.status(gate), 'stopped');
    }
  });
});

describe('closing', () => {
  test('gives durable commands that wait for the log the reply OUTCOME_UNKNOWN', async () => {
    const { host, clock, log } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    log.away = 'gone';
    const reply = host.submit(gate, admit(), { durable: true });
    await clock.settle();
    await settled(clock, host.close());
    const outcome = await reply;
    assert.equal(!outcome.ok && outcome.code, 'OUTCOME_UNKNOWN');
  });
});

describe('fault 10: all queues are bounded', () => {
  test('above the limit, durable commands are refused before they are decided', async () => {
    const { host, clock, log } = newHost([turnstile], { options: { durableWaitingMax: 3 } });
    await settled(clock, host.open(gate));
    log.away = 'gone';
    const replies = Array.from({ length: 5 }, () => host.submit(gate, admit(), { durable: true }));
    await clock.settle();
    assert.equal(host.stats().durableWaiting, 3);
    assert.equal(admittedIn(host.view(gate)), 3);
    log.away = null;
    await clock.advance(10_000);
    const outcomes = await Promise.all(replies);
    assert.deepEqual(
      outcomes.map((reply) => (reply.ok ? 'ok' : reply.code)),
      ['ok', 'ok', 'ok', 'BUSY', 'BUSY'],
    );
    assert.match(JSON.stringify(outcomes.at(-1)), /3 durable commands wait for the log/);
    assert.equal(host.stats().durableWaiting, 0);
  });

  test('a durable append visits only the waiters that it settles', async () => {
    const roomy = defineZone({ ...turnstile, create: () => ({ ...turnstile.create(''), capacity: 1e9 }) });
    const { host, clock, log } = newHost([roomy]);
    await settled(clock, host.open(gate));
    log.away = 'gone';
    const order: number[] = [];
    // A retry waits for an earlier event than the commands sent in between.
    const ids = [1, 2, 3, 1, 4, 2];
    for (const [index, id] of ids.entries()) {
      void host.submit(gate, admit(), { id: `c${id}`, durable: true }).then(() => order.push(index));
      await clock.settle();
    }
    log.away = null;
    await clock.advance(10_000);
    assert.deepEqual([...order].sort(), [0, 1, 2, 3, 4, 5]);
    assert.equal(host.stats().durableWaiting, 0);
  });

  test('a turn decides a bounded number of commands of all zones together, and every zone gets a turn', async () => {
    const { host, clock, decided } = newHost([turnstile], { options: { turnCommandsMax: 2, turnTotalMax: 5 } });
    const zones = Array.from({ length: 4 }, (_none, index) => `turnstile/${index}`);
    await settled(clock, Promise.all(zones.map((zone) => host.open(zone))));
    const turnsBefore = host.stats().turns;
    for (const zone of zones) for (let count = 0; count < 4; count++) host.send(zone, admit());
    await clock.settle();
    assert.equal(host.stats().turns - turnsBefore, 4);
    assert.deepEqual(
      decided.map(({ zone, events }) => `${zone.at(-1)}:${events.length}`),
      ['0:2', '1:2', '2:1', '3:2', '0:2', '1:1', '2:2', '3:2', '1:1', '2:1'],
    );
  });
});

describe('a store that fails, is slow, or never responds', () => {
  test('events for a log that never responds go to the spool, and none is lost when it responds again', async () => {
    const log = new MemoryLog();
    const append = log.append.bind(log);
    let isHung = false;
    log.append = (batches) => (isHung ? new Promise(() => {}) : append(batches));
    const { host, clock, failures } = newHost([turnstile], { log });
    await settled(clock, host.open(gate));
    isHung = true;
    host.send(gate, admit(4));
    await clock.advance(30_000);
    assert.equal(host.stats().outbox.mode, 'spooling');
    assert.ok(failures.some(({ message }) => message.includes('no answer')));
    isHung = false;
    await clock.advance(30_000);
    assert.equal(admittedAfter(log.batches, gate, 9), 4);
  });

  test('a snapshot store that never responds delays neither the other zones nor the close', async () => {
    const { host, clock, hot, cold } = newHost([turnstile]);
    await settled(clock, Promise.all([host.open(gate), host.open(other)]));
    hot.save = () => new Promise(() => {});
    hot.list = () => new Promise(() => {});
    host.send(gate, admit(1));
    host.send(other, admit(2));
    await clock.settle();
    let isClosed = false;
    void host.close().then(() => {
      isClosed = true;
    });
    await clock.advance(20_000);
    assert.ok(isClosed);
    assert.deepEqual(cold.snapshots.map(({ zone }) => zone).sort(), [gate, other]);
  });

  test('a hot store that never responds is skipped when a zone is opened', async () => {
    const first = newHost([turnstile]);
    await settled(first.clock, first.host.open(gate));
    first.host.send(gate, admit(3));
    await first.clock.settle();
    const { host, clock, hot } = newHost([turnstile], { log: first.log });
    hot.list = () => new Promise(() => {});
    const opened = host.open(gate);
    await clock.advance(30_000);
    await opened;
    assert.equal(admittedIn(host.view(gate)), 3);
  });

  test('a spool that fails on read, drop or write loses the batches that it cannot store, reports it, and continues', async () => {
    for (const broken of ['oldest', 'drop', 'ofZone'] as const) {
      const { host, clock, log, spools, failures } = newHost([turnstile]);
      await settled(clock, host.open(gate));
      const spool = spools.newest;
      log.away = 'gone';
      host.send(gate, admit(1));
      await clock.settle();
      const works = spool[broken].bind(spool);
      spool[broken] = () => {
        throw new Error('EIO: i/o error');
      };
      log.away = null;
      host.send(gate, { type: 'Break' });
      await clock.advance(5_000);
      (spool as unknown as Record<string, unknown>)[broken] = works;
      await clock.advance(30_000);
      host.send(gate, admit(2));
      await clock.settle();
      assert.equal(admittedAfter(log.batches, gate, 9), 3, broken);
      assert.ok(
        failures.some(({ message }) => message.includes('EIO')),
        broken,
      );
    }
    const { host, clock, log, spools } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    spools.newest.add = () => {
      throw new Error('EIO: i/o error');
    };
    log.away = 'gone';
    host.send(gate, admit(1));
    await clock.settle();
    assert.equal(host.stats().outbox.lostEvents, 1);
    log.away = null;
    await clock.advance(30_000);
    assert.equal(admittedIn(host.view(gate)), 1);
    assert.ok(log.batches.some((batch) => batch.loss));
  });
});

describe('fault 14: unused zones are released', () => {
  test('above the limit the least recently used are released without loss, and those with ticks or work stay', async () => {
    const { host, clock, log } = newHost([turnstile, beating], { options: { zonesMax: 4 } });
    await settled(clock, host.open('beating/heart'));
    for (let count = 0; count < 10; count++) {
      const zone = `turnstile/${count}`;
      await settled(clock, host.open(zone));
      host.send(zone, admit(count));
      await clock.advance(10);
      if (count > 0) assert.notEqual(host.view('turnstile/0'), undefined, 'it is read again and again');
    }
    assert.ok(host.addresses().length <= 4, String(host.addresses()));
    assert.ok(host.addresses().includes('beating/heart'));
    assert.ok(host.addresses().includes('turnstile/0'));
    assert.ok(host.addresses().includes('turnstile/9'));
    await settled(clock, host.open('turnstile/3'));
    assert.equal(admittedIn(host.view('turnstile/3')), 3);
    assert.equal(log.batches.filter(({ zone }) => zone.startsWith('turnstile')).length, 10);
  });
});
