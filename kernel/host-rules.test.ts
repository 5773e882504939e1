import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lastSeqOf } from './batch.ts';
import { beating, MemoryLog, MemorySpool, newHost, settled, type Turnstile, turnstile } from './testing/index.ts';

/* What a host does with snapshots, spool, retries and moments of the past when everything goes its way, and when not. */

const gate = 'turnstile/gate';
const admitOne = (people = 1) => ({ type: 'Admit', people }) as const;

describe('a host', () => {
  test('takes snapshots on its schedule, hot and cold, of what has changed, until it is closed', async () => {
    const { host, clock, hot, cold } = newHost([turnstile], { options: { hotEveryMs: 100, coldEveryMs: 1_000 } });
    await settled(clock, host.open(gate));
    host.send(gate, admitOne());
    await clock.advance(100);
    assert.deepEqual([hot.snapshots.length, cold.snapshots.length], [1, 0]);
    await clock.advance(500);
    assert.equal(hot.snapshots.length, 1, 'nothing has changed');
    host.send(gate, admitOne());
    await clock.advance(500);
    assert.deepEqual([hot.snapshots.length, cold.snapshots.length], [2, 1]);
    host.send(gate, admitOne());
    await settled(clock, host.close());
    const after = [hot.snapshots.length, cold.snapshots.length];
    await clock.advance(5_000);
    assert.deepEqual([hot.snapshots.length, cold.snapshots.length], after);
    assert.equal(hot.snapshots[0]?.seq, 3);
  });

  test('a snapshot says from where in the log the events after it are found', async () => {
    const { host, clock, hot } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    for (let count = 0; count < 3; count++) {
      host.send(gate, admitOne());
      await clock.settle();
    }
    await settled(clock, host.snapshotAll('hot'));
    assert.equal(hot.snapshots[0]?.position, 3);
  });

  test('says how much waits, and gives up on commands of a zone that it lets go of', async () => {
    const { host, clock } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    const reply = host.submit(gate, admitOne());
    assert.equal(host.stats().waitingCommands, 1);
    assert.equal(host.waiting(gate), 1);
    host.abandon(gate);
    const answer = await reply;
    assert.equal(!answer.ok && answer.code, 'ZONE_STOPPED');
    assert.equal(host.status(gate), 'stopped');
    await host.release(gate);
    await host.snapshot(gate, 'hot');
    assert.deepEqual(host.addresses(), []);
    await assert.rejects(host.open('elsewhere/1'), /Unknown zone kind in "elsewhere\/1".*Registered kinds: turnstile/);
    await assert.rejects(newHost([]).host.open(gate), /Registered kinds: none/);
    assert.throws(() => host.register(turnstile), /already registered/);
  });

  test('a zone that was abandoned while it was to be retried is not brought back', async () => {
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

  test('a failed zone that is opened comes back at once, and once', async () => {
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

  test('more than memory holds goes to the spool while the log is slow, and no event twice to the log', async () => {
    const log = new MemoryLog();
    const append = log.append.bind(log);
    const held: (() => void)[] = [];
    let isSlow = true;
    log.append = async (batches, ...rest) => {
      if (isSlow) await new Promise<void>((resolve) => held.push(resolve));
      return append(batches, ...rest);
    };
    const { host, clock, spool, failures } = newHost([turnstile], { log, options: { outboxMemoryEventsMax: 5 } });
    await settled(clock, host.open(gate));
    for (let count = 0; count < 12; count++) {
      host.send(gate, admitOne());
      await clock.settle();
      if (count === 5) assert.equal(host.stats().outbox.waitingEvents, 5);
    }
    assert.ok(failures.some(({ message }) => message.includes('slower than the zones decide')));
    assert.equal(host.stats().outbox.mode, 'spooling');
    assert.ok(spool.batches > 0);
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

  test('tries a log that is unavailable again after 100 ms, and then ever more slowly, up to 5 s', async () => {
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

  test('writes what an earlier run left on the spool without anything new, and forgets a zone that it lets go of', async () => {
    const first = newHost([turnstile]);
    await settled(first.clock, first.host.open(gate));
    first.log.away = 'gone';
    first.host.send(gate, admitOne(9));
    await first.clock.settle();
    first.log.away = null;
    const second = newHost([turnstile], { log: first.log, spool: first.spool });
    assert.equal(second.host.isRecording, false);
    await settled(second.clock, second.host.recorded());
    assert.equal(second.host.isRecording, true);
    assert.equal(first.log.batches.length, 1);
    // Its gap goes with it: it is another owner’s now.
    const third = newHost([turnstile], { spool: new MemorySpool(1) });
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
    assert.deepEqual(third.log.batches.map(lastSeqOf), [1]);
    await settled(third.clock, third.host.open(gate));
    const reply = await settled(third.clock, third.host.submit(gate, admitOne(), { durable: true }));
    assert.deepEqual(reply, { ok: true, seq: 2 });
  });

  test('tells durable events in order, each once, and only when the log has them', async () => {
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

  test('commands are answered whether anything goes with them or not', async () => {
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
