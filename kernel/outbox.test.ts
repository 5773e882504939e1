import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lastSeqOf } from './batch.ts';
import type { Reply } from './command.ts';
import { MemorySpools, newHost, stateAt, type Turnstile, turnstile } from './testing/index.ts';

const gate = 'turnstile/gate';

/** The seqs of a zone in the log, in order. */
function seqs(log: { batches: readonly { zone: string; firstSeq: number; events: readonly unknown[] }[] }, zone: string): number[] {
  return log.batches.filter((batch) => batch.zone === zone).flatMap((batch) => batch.events.map((_event, index) => batch.firstSeq + index));
}

describe('the outbox', () => {
  test('while the log is unavailable, uses the spool, and drains it in order afterwards', async () => {
    const { host, clock, log, spools } = newHost([turnstile]);
    await host.open(gate);
    log.away = 'gone';
    for (let count = 0; count < 5; count++) {
      host.send(gate, { type: 'Admit', people: 1 });
      await clock.settle();
    }
    assert.equal(host.stats().outbox.mode, 'spooling');
    assert.equal(spools.batches, 5);
    log.away = null;
    host.send(gate, { type: 'Admit', people: 1 });
    await clock.advance(10_000);
    assert.deepEqual(seqs(log, gate), [1, 2, 3, 4, 5, 6]);
    assert.equal(host.stats().outbox.mode, 'flowing');
    assert.equal(spools.batches, 0);
  });

  test('fault 23: a lost record in the middle of the spool does not keep other events from the log', async () => {
    const { host, clock, log, spools, failures } = newHost([turnstile]);
    const other = 'turnstile/other';
    await Promise.all([host.open(gate), host.open(other)]);
    log.away = 'gone';
    for (let count = 0; count < 3; count++) {
      for (const zone of [gate, other]) host.send(zone, { type: 'Admit', people: 1 });
      await clock.settle();
    }
    // The second batch of the gate is damaged and set aside.
    const spool = spools.of(log.shardOf(gate));
    const kept = spool.oldest(100).filter(({ firstSeq }) => firstSeq !== 2);
    spool.drop(100);
    spool.add(kept);
    log.away = null;
    await clock.advance(20_000);
    assert.deepEqual(seqs(log, other), [1, 2, 3]);
    assert.deepEqual(seqs(log, gate), [1]);
    const bridge = log.batches.find(({ loss }) => loss);
    assert.deepEqual([bridge?.zone, bridge?.firstSeq, bridge?.loss?.lastSeq], [gate, 2, 3]);
    assert.equal(host.stats().outbox.mode, 'flowing');
    assert.ok(failures.some(({ message }) => message.includes('given up')));
    // Its events were decided, so the spool stores them for an operator.
    assert.deepEqual(
      spools.givenUp.map(({ zone, firstSeq }) => [zone, firstSeq]),
      [[gate, 3]],
    );
    host.send(gate, { type: 'Admit', people: 1 });
    await clock.settle();
    assert.deepEqual(seqs(log, gate), [1, 4]);
    // The gap is closed: in the next outage no batch is given up.
    log.away = 'gone';
    for (let count = 0; count < 2; count++) {
      host.send(gate, { type: 'Admit', people: 1 });
      await clock.settle();
    }
    log.away = null;
    await clock.advance(20_000);
    assert.deepEqual(seqs(log, gate), [1, 4, 5, 6]);
    assert.equal(spools.givenUp.length, 1);
  });

  for (const [dropped, when] of [
    [0, 'before it has removed anything'],
    [1, 'when it has removed a part'],
    [3, 'when it has removed everything'],
  ] as const)
    test(`tells observers of each batch once, and counts it once, when the spool fails to drop batches ${when}`, async () => {
      const told: number[] = [];
      const { host, clock, log, spools } = newHost([turnstile], { options: { onDurable: ({ firstSeq }) => told.push(firstSeq) } });
      await host.open(gate);
      log.away = 'gone';
      for (let count = 0; count < 3; count++) {
        host.send(gate, { type: 'Admit', people: 1 });
        await clock.settle();
      }
      const spool = spools.of(log.shardOf(gate));
      const drop = spool.drop.bind(spool);
      let failures = 2;
      spool.drop = (count) => {
        drop(failures-- > 0 ? Math.min(count, dropped) : count);
        if (failures >= 0) throw new Error('EIO: i/o error');
      };
      log.away = null;
      await clock.advance(20_000);
      host.send(gate, { type: 'Admit', people: 1 });
      await clock.settle();
      assert.deepEqual(
        [told, seqs(log, gate)],
        [
          [1, 2, 3, 4],
          [1, 2, 3, 4],
        ],
      );
      assert.deepEqual([host.stats().outbox.appendedEvents, spools.batches], [4, 0]);
    });

  test('an append with an unknown outcome causes no repeat', async () => {
    const { host, clock, log } = newHost([turnstile]);
    await host.open(gate);
    log.failAfterWriting = true;
    host.send(gate, { type: 'Admit', people: 1 });
    await clock.settle();
    log.failAfterWriting = false;
    host.send(gate, { type: 'Admit', people: 1 });
    await clock.advance(10_000);
    assert.deepEqual(seqs(log, gate), [1, 2]);
  });

  /** A second host on the log and the spool of one that crashed while the log was unavailable. */
  async function afterCrash() {
    const first = newHost([turnstile]);
    await first.host.open(gate);
    first.log.away = 'gone';
    first.host.send(gate, { type: 'Admit', people: 30 });
    await first.clock.settle();
    first.log.away = null;
    const second = newHost([turnstile], { log: first.log, spools: first.spools });
    return { first, second };
  }

  test('the spool of a crashed host is written before new events', async () => {
    const { first, second } = await afterCrash();
    await second.host.flushed();
    await second.host.open(gate);
    second.host.send(gate, { type: 'Admit', people: 1 });
    await second.clock.advance(1_000);
    assert.deepEqual(seqs(first.log, gate), [1, 2]);
    assert.equal((second.host.view(gate)?.state as Turnstile).admitted, 31);
  });

  test('the spool of a crashed host is written although no zone is opened', async () => {
    const { first, second } = await afterCrash();
    await second.clock.settle();
    assert.deepEqual(seqs(first.log, gate), [1]);
    assert.equal(second.spools.batches, 0);
  });

  test('with the spool full, durable commands are refused, losses are counted, and a checkpoint keeps replay exact', async () => {
    const spools = new MemorySpools(2);
    const { host, clock, log } = newHost([turnstile], { spools });
    await host.open(gate);
    await host.open('turnstile/quiet');
    log.away = 'gone';
    for (let count = 0; count < 5; count++) {
      host.send(gate, { type: 'Admit', people: 10 });
      await clock.settle();
    }
    const reply = await host.submit(gate, { type: 'Admit', people: 1 }, { durable: true });
    assert.equal(!reply.ok && reply.code, 'LOG_UNAVAILABLE');
    assert.equal(host.stats().outbox.lostEvents, 3);

    log.away = null;
    await clock.advance(10_000);
    host.send(gate, { type: 'Admit', people: 1 });
    await clock.settle();
    const loss = log.batches.find((batch) => batch.loss);
    assert.deepEqual([loss?.firstSeq, loss && lastSeqOf(loss)], [3, 5]);
    assert.deepEqual(seqs(log, gate), [1, 2, 6]);
    assert.deepEqual(spools.givenUp, [], 'the log accepted the first batch for the loss');

    const again = newHost([turnstile], { log });
    await again.host.open(gate);
    assert.deepEqual(again.host.view(gate)?.state, host.view(gate)?.state);
    assert.equal(again.host.view(gate)?.seq, 6);
  });

  test('batches of an earlier run on the spool are written under the epoch of the next run, without loss', async () => {
    const first = newHost([turnstile]);
    await first.host.open(gate);
    first.log.away = 'gone';
    for (let count = 0; count < 3; count++) {
      first.host.send(gate, { type: 'Admit', people: 1 });
      await first.clock.settle();
    }
    // The process dies; its spool stays. The log is available before the next run has drained the spool.
    const { log, spools } = first;
    log.away = null;
    const { host, clock } = newHost([turnstile], { log, spools });
    await host.open(gate);
    assert.equal((host.view(gate)?.state as Turnstile).admitted, 3);
    host.send(gate, { type: 'Admit', people: 1 });
    await clock.advance(10_000);
    assert.deepEqual(seqs(log, gate), [1, 2, 3, 4]);
  });

  test('batches of an earlier run are ignored when another owner has continued without them', async () => {
    const first = newHost([turnstile]);
    await first.host.open(gate);
    first.log.away = 'gone';
    first.host.send(gate, { type: 'Admit', people: 7 });
    await first.clock.settle();
    const { log, spools } = first;
    log.away = null;
    const other = newHost([turnstile], { log });
    await other.host.open(gate);
    other.host.send(gate, { type: 'Admit', people: 1 });
    await other.clock.settle();
    const parts = newHost([turnstile], { log, spools });
    const { host, clock } = parts;
    await host.open(gate);
    await clock.advance(10_000);
    assert.equal((host.view(gate)?.state as Turnstile).admitted, 1);
    assert.equal((await stateAt(parts, turnstile, gate, { seq: 9 })).seq, 1);
  });

  test('a retry of a command whose record was lost is not confirmed as durable, also not by the next owner', async () => {
    const { host, clock, log } = newHost([turnstile], { spools: new MemorySpools(1) });
    await host.open(gate);
    log.away = 'gone';
    // Two events of one turn, and space for one.
    host.send(gate, { type: 'Admit', people: 1 });
    const submitted = host.submit(gate, { type: 'Admit', people: 1 }, { id: 'a', durable: true });
    await clock.settle();
    const [first] = await Promise.all([submitted, clock.settle()]);
    assert.equal(!first.ok && first.code, 'OUTCOME_UNKNOWN', 'the log may have got it');
    log.away = null;
    await clock.advance(10_000);
    const again = await Promise.all([host.submit(gate, { type: 'Admit', people: 1 }, { id: 'a', durable: true }), clock.settle()]);
    assert.equal(!again[0].ok && again[0].code, 'NOT_RECORDED');
    const next = newHost([turnstile], { log });
    await next.host.open(gate);
    assert.equal((next.host.view(gate)?.state as Turnstile).admitted, 2);
    const last = await Promise.all([next.host.submit(gate, { type: 'Admit', people: 1 }, { id: 'a', durable: true }), next.clock.settle()]);
    assert.equal(!last[0].ok && last[0].code, 'NOT_RECORDED');
  });

  test('a reply says that events are lost only if they are: not for those on the spool, nor for those that the log may have', async () => {
    const codeOf = (reply: Reply | undefined) => (reply === undefined ? 'waits' : reply.ok ? reply.seq : reply.code);
    const { host, clock, log } = newHost([turnstile], { spools: new MemorySpools(2) });
    await host.open(gate);
    const replies: (Reply | undefined)[] = [];
    const submit = async (index: number) => {
      void host.submit(gate, { type: 'Admit', people: 1 }, { id: `c${index}`, durable: true }).then((reply) => {
        replies[index] = reply;
      });
      await clock.settle();
    };
    // The first one is written, and its response is lost; it goes to the spool with the second, and the third is lost.
    log.failAfterWriting = true;
    await submit(0);
    log.failAfterWriting = false;
    log.away = 'gone';
    await submit(1);
    host.send(gate, { type: 'Admit', people: 1 }, { id: 'c2' });
    await clock.settle();
    assert.deepEqual(
      [0, 1].map((index) => codeOf(replies[index])),
      ['waits', 'waits'],
    );
    log.away = null;
    await clock.advance(10_000);
    assert.deepEqual(
      [0, 1].map((index) => codeOf(replies[index])),
      [1, 2],
    );
    assert.deepEqual(
      log.batches.map(({ firstSeq, loss }) => [firstSeq, loss?.lastSeq]),
      [
        [1, undefined],
        [2, undefined],
        [3, 3],
      ],
    );

    // The append has an unknown outcome, and the spool has no room for its two events: they are not lost after all.
    const none = newHost([turnstile], { spools: new MemorySpools(1) });
    await none.host.open(gate);
    none.log.failAfterWriting = true;
    none.host.send(gate, { type: 'Admit', people: 1 });
    const unknown = none.host.submit(gate, { type: 'Admit', people: 1 }, { id: 'a', durable: true });
    await none.clock.settle();
    assert.equal(codeOf(await unknown), 'OUTCOME_UNKNOWN');
    none.log.failAfterWriting = false;
    await none.clock.advance(10_000);
    const [again] = await Promise.all([
      none.host.submit(gate, { type: 'Admit', people: 1 }, { id: 'a', durable: true }),
      none.clock.settle(),
    ]);
    assert.deepEqual([codeOf(again), none.log.batches.length], [2, 1]);
  });
});
