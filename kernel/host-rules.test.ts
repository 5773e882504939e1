import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lastSeqOf } from './batch.ts';
import { beating, MemoryLog, MemorySpools, newHost, settled, type Turnstile, turnstile } from './testing/index.ts';

/* Snapshots, spool, retries and points in time of a host, with and without failures. */

const gate = 'turnstile/gate';
const admitOne = (people = 1) => ({ type: 'Admit', people }) as const;

describe('a host', () => {
  test('a snapshot has the log position of the events after it', async () => {
    const { host, clock, hot } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    for (let count = 0; count < 3; count++) {
      host.send(gate, admitOne());
      await clock.settle();
    }
    await settled(clock, host.snapshotAll('hot'));
    assert.equal(hot.snapshots[0]?.position, 3);
  });

  test('reports how many commands wait, and refuses those of an abandoned zone', async () => {
    const { host, clock } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    const reply = host.submit(gate, admitOne());
    assert.equal(host.stats().waitingCommands, 1);
    assert.equal(host.waiting(gate), 1);
    host.abandon(gate);
    const outcome = await reply;
    assert.equal(!outcome.ok && outcome.code, 'ZONE_STOPPED');
    assert.equal(host.status(gate), 'stopped');
    await host.release(gate);
    await host.snapshot(gate, 'hot');
    assert.deepEqual(host.addresses(), []);
    await assert.rejects(host.open('elsewhere/1'), /Unknown zone kind in "elsewhere\/1".*Registered kinds: turnstile/);
    await assert.rejects(newHost([]).host.open(gate), /Registered kinds: none/);
    assert.throws(() => host.register(turnstile), /already registered/);
  });

  test('a zone that was abandoned before its retry is not rebuilt', async () => {
    const { host, clock, log } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    log.away = 'gone';
    host.send(gate, { type: 'Break' });
    await clock.settle();
    assert.equal(host.status(gate), 'failed');
    host.abandon(gate);
    log.away = null;
    await clock.advance(60_000);
    assert.equal(host.status(gate), 'stopped');
  });

  test('a failed zone that is opened is rebuilt at once, and only once', async () => {
    const { host, clock, log } = newHost([beating]);
    const zone = 'beating/heart';
    await settled(clock, host.open(zone));
    log.away = 'gone';
    host.send(zone, { type: 'Break' });
    await clock.settle();
    log.away = null;
    await settled(clock, host.open(zone));
    await clock.advance(1_000);
    const before = (host.view(zone)?.state as Turnstile).ticks.length;
    await clock.advance(1_000);
    assert.equal((host.view(zone)?.state as Turnstile).ticks.length - before, 20);
  });

  test('events above the memory limit go to the spool while the log is slow, and none goes to the log twice', async () => {
    const log = new MemoryLog();
    const append = log.append.bind(log);
    const held: (() => void)[] = [];
    let isSlow = true;
    log.append = async (batches, ...rest) => {
      if (isSlow) await new Promise<void>((resolve) => held.push(resolve));
      return append(batches, ...rest);
    };
    const { host, clock, spools, failures } = newHost([turnstile], {
      log: Object.assign(log, { inFlightMax: 1 }),
      options: { outboxMemoryEventsMax: 5 },
    });
    await settled(clock, host.open(gate));
    for (let count = 0; count < 12; count++) {
      host.send(gate, admitOne());
      await clock.settle();
      if (count === 5) assert.equal(host.stats().outbox.waitingEvents, 5);
    }
    assert.ok(failures.some(({ message }) => message.includes('slower than the zones decide')));
    assert.equal(host.stats().outbox.mode, 'spooling');
    assert.ok(spools.batches > 0);
    isSlow = false;
    for (const resolve of held) resolve();
    await clock.advance(20_000);
    assert.equal(host.stats().outbox.waitingEvents, 0);
    assert.equal(host.stats().outbox.mode, 'flowing');
    assert.deepEqual(
      log.batches.flatMap(({ firstSeq, events }) => events.map((_event, index) => firstSeq + index)),
      Array.from({ length: 12 }, (_none, index) => index + 1),
    );
  });

  test('retries an unavailable log after 100 ms, then with growing delays up to 5 s', async () => {
    const log = new MemoryLog();
    const { host, clock } = newHost([turnstile], { log });
    await settled(clock, host.open(gate));
    const at: number[] = [];
    log.append = async () => {
      at.push(clock.elapsed());
      throw new Error('gone');
    };
    host.send(gate, admitOne());
    await clock.advance(40_000);
    const waits = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    assert.deepEqual(waits.slice(0, 8), [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  });

  test('writes the spool of an earlier run without new events, and drops the lost range of an abandoned zone', async () => {
    const first = newHost([turnstile]);
    await settled(first.clock, first.host.open(gate));
    first.log.away = 'gone';
    first.host.send(gate, admitOne(9));
    await first.clock.settle();
    first.log.away = null;
    const second = newHost([turnstile], { log: first.log, spools: first.spools });
    assert.equal(second.host.isRecording, false);
    await settled(second.clock, second.host.recorded());
    assert.equal(second.host.isRecording, true);
    assert.equal(first.log.batches.length, 1);
    // Its lost range is dropped too: it has another owner now.
    const third = newHost([turnstile], { spools: new MemorySpools(1) });
    await settled(third.clock, third.host.open(gate));
    third.log.away = 'gone';
    for (let count = 0; count < 2; count++) {
      third.host.send(gate, admitOne());
      await third.clock.settle();
    }
    assert.equal(third.host.stats().outbox.lostEvents, 1);
    third.host.abandon(gate);
    third.log.away = null;
    await third.clock.advance(10_000);
    assert.deepEqual(third.log.batches, [], 'another host may own it');
    await settled(third.clock, third.host.open(gate));
    assert.deepEqual(third.log.batches.map(lastSeqOf), [1]);
    const reply = await settled(third.clock, third.host.submit(gate, admitOne(), { durable: true }));
    assert.deepEqual(reply, { ok: true, seq: 2 });
  });

  test('notifies observers of durable events in order, each once, and only when the log has them', async () => {
    const durable: string[] = [];
    const { host, clock, log } = newHost([turnstile], {
      options: { onDurable: ({ firstSeq, events }) => void durable.push(`${firstSeq}+${events.length}`) },
    });
    await settled(clock, host.open(gate));
    log.away = 'gone';
    host.send(gate, admitOne());
    await clock.settle();
    assert.deepEqual(durable, []);
    log.away = null;
    await clock.advance(1_000);
    host.send(gate, admitOne());
    await clock.settle();
    assert.deepEqual(durable, ['1+1', '2+1']);
  });

  test('commands get a reply with and without metadata', async () => {
    const { host, clock, decided } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    for (const meta of [{}, { id: 'a' }, { correlation: 'c' }, { actor: 'x' }, { tenant: 't' }])
      assert.equal((await settled(clock, host.submit(gate, admitOne(), meta))).ok, true);
    assert.deepEqual(
      decided.map(({ metas }) => metas),
      [null, [{ id: 'a' }], [{ correlation: 'c' }], [{ actor: 'x' }], [{ tenant: 't' }]],
    );
  });
});
