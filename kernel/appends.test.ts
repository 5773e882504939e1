import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventBatch } from './batch.ts';
import { type HeldAppend, HeldLog } from './testing/held-log.ts';
import { CountingClock, MemorySpools, newHost, settled, type Turnstile, turnstile } from './testing/index.ts';

const gate = 'turnstile/gate';
const other = 'turnstile/other';
const admit = (people = 1) => ({ type: 'Admit', people }) as const;
const seqsOf = (batches: readonly EventBatch[]) =>
  batches.flatMap(({ firstSeq, events }) => events.map((_event, index) => firstSeq + index));
const firstSeqs = (appends: readonly HeldAppend[]) => appends.map(({ batches }) => batches[0]?.firstSeq);

/** An open zone on a log whose appends the test settles one by one. */
async function onHeldLog() {
  const log = new HeldLog();
  const parts = newHost([turnstile], { log });
  await settled(parts.clock, parts.host.open(gate));
  const send = async () => {
    parts.host.send(gate, admit());
    await parts.clock.settle();
  };
  return { ...parts, log, send };
}

describe('appends', () => {
  test('start while fewer are in progress than the log takes at a time; observers get them in order, whichever is durable first', async () => {
    const { host, clock, log, send } = await onHeldLog();
    await send();
    await send();
    await send();
    await send();
    assert.deepEqual(firstSeqs(log.appends), [1, 2], 'what is decided meanwhile waits');
    let isFlushed = false;
    void host.flushed().then(() => {
      isFlushed = true;
    });
    log.appends[1]?.land();
    await clock.settle();
    assert.equal(host.stats().outbox.appendedEvents, 0, 'the first is not durable yet');
    log.appends[0]?.land();
    await clock.settle();
    assert.deepEqual(firstSeqs(log.appends), [1, 2, 3]);
    assert.deepEqual(seqsOf(log.appends[2]?.batches ?? []), [3, 4], 'and makes up one append');
    assert.equal(isFlushed, false);
    log.appends[2]?.land();
    await clock.settle();
    assert.equal(host.stats().outbox.appendedEvents, 4);
    assert.equal(isFlushed, true);
  });

  test('of the spool run one by one: the spool drops only durable batches', async () => {
    const { clock, log, spools, send } = await onHeldLog();
    log.writes = false;
    await send();
    log.appends[0]?.fail();
    await clock.settle();
    assert.equal(spools.batches, 1);
    log.writes = true;
    await clock.advance(100);
    assert.equal(log.appends.length, 2);
    await send();
    assert.equal(log.appends.length, 2);
    assert.equal(spools.batches, 2);
    log.appends[1]?.land();
    await clock.settle();
    assert.deepEqual(firstSeqs(log.appends), [1, 1, 2]);
    assert.equal(spools.batches, 1);
  });

  test('that fail together are one failure, what the log has of them is not sent again, and the first wait is the shortest after each success', async () => {
    const { host, clock, log, send } = await onHeldLog();
    for (let outage = 1; outage <= 3; outage++) {
      const first = log.appends.length;
      await send();
      await send();
      await send();
      log.appends[first]?.fail();
      log.appends[first + 1]?.fail();
      await clock.settle();
      assert.equal(host.stats().outbox.failures, outage);
      await clock.advance(99);
      assert.equal(log.appends.length, first + 2);
      await clock.advance(1);
      assert.deepEqual(seqsOf(log.appends[first + 2]?.batches ?? []), [outage * 3]);
      log.appends[first + 2]?.land();
      await clock.settle();
      assert.equal(host.isRecording, true);
    }
  });
});

describe('durable replies', () => {
  test('recorded resolves at once without waiting batches, and flushed waits for the log', async () => {
    const { host, clock, log, send } = await onHeldLog();
    assert.equal(newHost([turnstile]).host.isRecording, true);
    await send();
    let isFlushed = false;
    void host.flushed().then(() => {
      isFlushed = true;
    });
    await clock.settle();
    assert.equal(isFlushed, false);
    log.appends[0]?.land();
    await clock.settle();
    assert.equal(isFlushed, true);
  });

  test('are refused for a zone with a gap in its record, and for all zones when the spool is full', async () => {
    const { host, clock, log, spools, failures } = newHost([turnstile], { spools: new MemorySpools(2) });
    await settled(clock, Promise.all([host.open(gate), host.open(other)]));
    const codeOf = async (zone: string) => {
      const reply = await settled(clock, Promise.race([host.submit(zone, admit(), { durable: true }), clock.settle().then(() => null)]));
      return reply === null ? 'waits' : reply.ok ? 'ok' : reply.code;
    };
    log.away = 'gone';
    for (let count = 0; count < 2; count++) {
      host.send(gate, admit());
      await clock.settle();
    }
    assert.equal(await codeOf(other), 'LOG_UNAVAILABLE', 'the spool is full');
    host.send(gate, admit());
    await clock.settle();
    assert.ok(failures.some(({ message }) => message.includes('events of turnstile/gate from seq 3 are lost: the spool is full')));
    spools.of(log.shardOf(gate)).drop(1);
    assert.equal(await codeOf(gate), 'LOG_UNAVAILABLE', 'its record has a gap');
    assert.equal(await codeOf(other), 'waits');
  });

  test('a spool that cannot be written is reported', async () => {
    const { host, clock, log, spools, failures } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    spools.newest.add = () => {
      throw new Error('EIO: i/o error');
    };
    log.away = 'gone';
    host.send(gate, admit());
    await clock.settle();
    assert.ok(failures.some(({ message }) => message === 'the spool cannot be written: EIO: i/o error'));
  });

  test('a retry of a recorded command gets its reply at once, also from the next owner while the log is unavailable', async () => {
    const first = newHost([turnstile]);
    await settled(first.clock, first.host.open(gate));
    assert.deepEqual(await settled(first.clock, first.host.submit(gate, admit(), { id: 'a', durable: true })), { ok: true, seq: 1 });
    const { host, clock, log } = newHost([turnstile], { log: first.log });
    await settled(clock, host.open(gate));
    log.away = 'gone';
    assert.deepEqual(await settled(clock, host.submit(gate, admit(), { id: 'a', durable: true })), { ok: true, seq: 1 });
  });

  test('a loss changes only the replies to lost commands', async () => {
    const { host, clock, log } = newHost([turnstile], { spools: new MemorySpools(0) });
    await settled(clock, host.open(gate));
    const submit = (id: string) => settled(clock, host.submit(gate, admit(), { id }));
    await submit('recorded');
    assert.equal((await settled(clock, host.submit(gate, admit(1_000), { id: 'refused' }))).ok, false);
    log.away = 'gone';
    await submit('lost');
    log.away = null;
    await clock.advance(10_000);
    assert.deepEqual(await submit('recorded'), { ok: true, seq: 1 });
    const [lost, refused] = [await submit('lost'), await submit('refused')];
    assert.deepEqual([!lost.ok && lost.code, !refused.ok && refused.code], ['NOT_RECORDED', 'FULL']);
    assert.deepEqual((host.view(gate)?.state as Turnstile).admitted, 2);
  });

  test('closing while the log is unavailable leaves all events on the spool, and no timer', async () => {
    const clock = new CountingClock(1_000);
    const { host, log, spools } = newHost([turnstile], { clock });
    await settled(clock, host.open(gate));
    log.away = 'gone';
    host.send(gate, admit());
    await settled(clock, host.close());
    assert.equal(spools.batches, 1);
    assert.equal(clock.timers, 0);
  });
});
