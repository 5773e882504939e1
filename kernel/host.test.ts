import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Reply } from './command.ts';
import { beating, given, newHost, settled, type Turnstile, turnstile } from './testing/index.ts';

const gate = 'turnstile/gate';
const admitted = (view: { state: unknown } | undefined) => (view?.state as Turnstile).admitted;

describe('a rule’s test reads as a sentence', () => {
  test('people are admitted up to the capacity', () => {
    given(turnstile).when({ type: 'Admit', people: 2 }).emits({ type: 'Admitted', people: 2 });
    given(turnstile, { type: 'Admitted', people: 99 }).when({ type: 'Admit', people: 2 }).refused('FULL');
  });
});

describe('a zone host', () => {
  test('decides in memory and replies in the same turn, before the log has the events', async () => {
    const { host, clock, log } = newHost([turnstile]);
    await host.open(gate);
    log.away = 'gone';
    const reply = host.submit(gate, { type: 'Admit', people: 3 });
    await clock.settle();
    assert.deepEqual(await reply, { ok: true, seq: 1 });
    assert.equal(admitted(host.view(gate)), 3);
    assert.equal(log.batches.length, 0);
  });

  test('replies to durable commands when the log has the events, not before', async () => {
    const { host, clock, log } = newHost([turnstile]);
    await host.open(gate);
    log.away = 'gone';
    let reply: Reply | undefined;
    void host.submit(gate, { type: 'Admit', people: 3 }, { durable: true }).then((given) => {
      reply = given;
    });
    await clock.settle();
    assert.equal(reply, undefined);
    log.away = null;
    await clock.advance(1_000);
    assert.deepEqual(reply, { ok: true, seq: 1 });
    assert.equal(log.batches.length, 1);
  });

  test('publishes the events of a turn as one batch', async () => {
    const { host, clock, decided } = newHost([turnstile]);
    await host.open(gate);
    for (let count = 0; count < 10; count++) host.send(gate, { type: 'Admit', people: 1 });
    await clock.settle();
    assert.equal(decided.length, 1);
    assert.equal(decided[0]?.events.length, 10);
  });

  test('gives a retried command its first reply and no second effect, also after a crash', async () => {
    const first = newHost([turnstile]);
    await first.host.open(gate);
    const once = first.host.submit(gate, { type: 'Admit', people: 5 }, { id: 'c1' });
    const twice = first.host.submit(gate, { type: 'Admit', people: 5 }, { id: 'c1' });
    await first.clock.settle();
    assert.deepEqual(await once, await twice);
    assert.equal(admitted(first.host.view(gate)), 5);

    const second = newHost([turnstile], { log: first.log });
    await second.host.open(gate);
    const again = second.host.submit(gate, { type: 'Admit', people: 5 }, { id: 'c1' });
    await second.clock.settle();
    assert.deepEqual(await again, { ok: true, seq: 1 });
    assert.equal(admitted(second.host.view(gate)), 5);
  });

  test('replies BUSY when the mailbox is full, and decides the waiting commands', async () => {
    const { host, clock } = newHost([turnstile], { options: { mailboxMax: 2 } });
    await host.open(gate);
    assert.ok(host.send(gate, { type: 'Admit', people: 1 }));
    assert.ok(host.send(gate, { type: 'Admit', people: 1 }));
    assert.equal(host.send(gate, { type: 'Admit', people: 1 }), false);
    const refusal = await host.submit(gate, { type: 'Admit', people: 1 });
    assert.equal(!refusal.ok && refusal.code, 'BUSY');
    await clock.settle();
    assert.equal(admitted(host.view(gate)), 2);
    assert.equal(host.stats().refusedBusy, 2);
  });

  test('lets no zone starve another: a turn decides a bounded number of commands of each', async () => {
    const { host, clock, decided } = newHost([turnstile], { options: { turnCommandsMax: 3 } });
    await host.open(gate);
    await host.open('turnstile/other');
    for (let count = 0; count < 7; count++) host.send(gate, { type: 'Admit', people: 1 });
    host.send('turnstile/other', { type: 'Admit', people: 1 });
    await clock.settle();
    assert.deepEqual(
      decided.map((batch) => [batch.zone, batch.events.length]),
      [
        [gate, 3],
        ['turnstile/other', 1],
        [gate, 3],
        [gate, 1],
      ],
    );
  });

  test('a failing command affects only its zone, which is rebuilt from its record without the command', async () => {
    const { host, clock, failures } = newHost([turnstile]);
    await host.open(gate);
    await host.open('turnstile/other');
    host.send(gate, { type: 'Admit', people: 7 });
    const failed = host.submit(gate, { type: 'BreakHalfway' });
    const behind = host.submit(gate, { type: 'Admit', people: 1 });
    host.send('turnstile/other', { type: 'Admit', people: 2 });
    await clock.settle();
    const reply = await failed;
    assert.equal(!reply.ok && reply.code, 'ZONE_FAILED');
    assert.deepEqual(await behind, { ok: true, seq: 2 });
    assert.equal(admitted(host.view(gate)), 8);
    assert.equal(admitted(host.view('turnstile/other')), 2);
    assert.equal(failures[0]?.kind, 'zone-failed');
  });

  test('a zone that fails repeatedly is stopped, and the host reports it', async () => {
    const { host, clock, failures } = newHost([turnstile]);
    await host.open(gate);
    for (let count = 0; count < 6; count++) {
      host.send(gate, { type: 'Break' });
      await clock.settle();
    }
    assert.equal(failures.at(-1)?.kind, 'zone-stopped');
    const reply = await host.submit(gate, { type: 'Admit', people: 1 });
    assert.equal(!reply.ok && reply.code, 'ZONE_STOPPED');
    await host.open(gate);
    const repaired = host.submit(gate, { type: 'Admit', people: 1 });
    await clock.settle();
    assert.deepEqual(await repaired, { ok: true, seq: 1 });
  });

  test('a stale owner is fenced: the log refuses its events, and it refuses commands', async () => {
    const old = newHost([turnstile]);
    await old.host.open(gate);
    const next = newHost([turnstile], { log: old.log });
    await next.host.open(gate);
    next.host.send(gate, { type: 'Admit', people: 1 });
    await next.clock.settle();
    const submitted = old.host.submit(gate, { type: 'Admit', people: 50 }, { durable: true });
    await old.clock.settle();
    const reply = await submitted;
    assert.equal(!reply.ok && reply.code, 'OUTCOME_UNKNOWN');
    assert.equal(old.failures[0]?.kind, 'zone-lost');
    assert.equal(old.host.view(gate), undefined);
    assert.deepEqual(
      old.log.batches.map((batch) => batch.epoch),
      [2],
    );
  });

  test('closing decides waiting commands and stores a snapshot, so that the next start replays nothing', async () => {
    const first = newHost([turnstile]);
    await first.host.open(gate);
    first.host.send(gate, { type: 'Admit', people: 4 });
    await first.host.close();
    const second = newHost([turnstile], { log: first.log, hot: first.hot, cold: first.cold });
    await second.host.open(gate);
    assert.equal(admitted(second.host.view(gate)), 4);
    assert.equal(first.hot.snapshots[0]?.seq, 1);
  });
});

describe('ticks', () => {
  test('run in fixed steps, each with its own time', async () => {
    const { host, clock } = newHost([beating]);
    await host.open('beating/heart');
    await clock.advance(200);
    const { ticks } = host.view('beating/heart')?.state as Turnstile;
    assert.deepEqual(ticks, [1_050, 1_100, 1_150, 1_200]);
  });

  test('after a pause a bounded number of steps is caught up, the rest is skipped and reported', async () => {
    const skipped: number[] = [];
    const { host, clock } = newHost([beating], { options: { onTick: (stats) => skipped.push(stats.skippedSteps) } });
    await host.open('beating/heart');
    clock.jump(1_000);
    await clock.advance(0);
    const { ticks } = host.view('beating/heart')?.state as Turnstile;
    assert.deepEqual(ticks, [1_800, 1_850, 1_900, 1_950, 2_000]);
    assert.equal(skipped[0], 15);
  });

  test('a zone that is abandoned during its opening can be opened again at once, and the first attempt has no effect', async () => {
    const { host, clock, log } = newHost([turnstile]);
    const own = log.own.bind(log);
    let release: () => void = () => {};
    log.own = async (...claim) => {
      const writer = await own(...claim);
      if (writer.epoch === 1) await new Promise<void>((resolve) => (release = resolve));
      return writer;
    };
    const first = host.open(gate);
    await clock.settle();
    const refused = assert.rejects(first, /removed from this host during its recovery/);
    host.abandon(gate);
    const second = host.open(gate);
    await clock.settle();
    release();
    await refused;
    await settled(clock, second);
    assert.equal(host.view(gate)?.epoch, 2);
    const [reply] = await Promise.all([host.submit(gate, { type: 'Admit', people: 1 }), clock.settle()]);
    assert.equal(reply.ok, true);
  });

  test('ticks continue when the wall clock is set back', async () => {
    const { host, clock } = newHost([beating]);
    const zone = 'beating/heart';
    await host.open(zone);
    await clock.advance(1_000);
    const before = (host.view(zone)?.state as Turnstile).ticks.length;
    clock.setBack(60_000);
    await clock.advance(3_000);
    assert.ok((host.view(zone)?.state as Turnstile).ticks.length > before + 20);
  });
});
