import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventBatch } from './batch.ts';
import { defineZone } from './definition.ts';
import { beating, MemorySpools, newHost, settled, type Turnstile, type TurnstileEvent, turnstile } from './testing/index.ts';

/*
 * Faults of the kernel, by their number in the review of commit d4ce28a, where each of these tests fails. The title of the test states the law.
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

describe('fault 1: a published state is the fold of the events up to its seq', () => {
  test('observers of a zone that fails half-way get the state without the failed command, or nothing', async () => {
    const published: { seq: number; admitted: number }[] = [];
    const parts = newHost([turnstile], {
      options: {
        onDecided: (batch, state) =>
          void published.push({ seq: batch.firstSeq + batch.events.length - 1, admitted: (state as Turnstile).admitted }),
      },
    });
    const { host, clock, log } = parts;
    await host.open(gate);
    host.send(gate, admit(7));
    host.send(gate, { type: 'BreakHalfway' });
    await clock.settle();
    assert.deepEqual(published, [{ seq: 1, admitted: 7 }]);
    assert.equal(admittedAfter(log.batches, gate, 1), 7);
  });

  test('a failed zone serves no state, and its status is failed', async () => {
    const { host, clock, log } = newHost([turnstile]);
    await host.open(gate);
    host.send(gate, admit(7));
    await clock.settle();
    log.away = 'gone';
    host.send(gate, { type: 'BreakHalfway' });
    await clock.settle();
    assert.equal(host.view(gate), undefined);
    assert.equal(host.status(gate), 'failed');
    const reply = await settled(clock, host.submit(gate, admit()));
    assert.equal(!reply.ok && reply.code, 'ZONE_STOPPED');
  });

  test('a zone that is opening serves no state before its recovery', async () => {
    const { host, clock } = newHost([turnstile]);
    const opening = host.open(gate);
    assert.equal(host.view(gate), undefined);
    assert.equal(host.status(gate), 'opening');
    await settled(clock, opening);
    assert.equal(admittedIn(host.view(gate)), 0);
  });
});

describe('fault 2: an address has one transition at a time', () => {
  test('opening a zone that is being rebuilt waits for that, and its ticks keep their rate', async () => {
    const { host, clock } = newHost([beating]);
    const zone = 'beating/heart';
    await settled(clock, host.open(zone));
    host.send(zone, { type: 'Break' });
    // It fails in the next turn; right after that, it is opened twice.
    const opened = new Promise<void>((resolve, reject) => {
      clock.soon(() => void Promise.all([host.open(zone), host.open(zone)]).then(() => resolve(), reject));
    });
    await settled(clock, opened);
    assert.equal(host.status(zone), 'active');
    await clock.advance(100);
    const before = (host.view(zone)?.state as Turnstile).ticks.length;
    await clock.advance(1_000);
    assert.equal((host.view(zone)?.state as Turnstile).ticks.length - before, 20);
    assert.equal(host.view(zone)?.epoch, 1);
  });

  test('opening a zone during its release opens it again under a new epoch after the release', async () => {
    const { host, clock } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    host.send(gate, admit(3));
    const released = host.release(gate);
    const opened = host.open(gate);
    await settled(clock, Promise.all([released, opened]));
    assert.equal(admittedIn(host.view(gate)), 3);
    assert.equal(host.view(gate)?.epoch, 2);
  });
});

describe('fault 3: a failed zone is retried until it is active', () => {
  test('a zone that fails while the log is unavailable recovers with the log, and its status is always correct', async () => {
    const statuses: string[] = [];
    const { host, clock, log } = newHost([turnstile], { options: { onStatus: (_zone, status) => statuses.push(status) } });
    await settled(clock, host.open(gate));
    host.send(gate, admit(2));
    await clock.settle();
    log.away = 'gone';
    host.send(gate, { type: 'Break' });
    await clock.advance(60_000);
    assert.equal(host.status(gate), 'failed');
    log.away = null;
    await clock.advance(60_000);
    assert.equal(host.status(gate), 'active');
    assert.equal(admittedIn(host.view(gate)), 2);
    assert.deepEqual(await settled(clock, host.submit(gate, admit())), { ok: true, seq: 2 });
    assert.deepEqual([...new Set(statuses)], ['opening', 'active', 'rebuilding', 'failed']);
    assert.equal(statuses.at(-1), 'active');
  });

  test('a zone that fails repeatedly is retried with growing delays', async () => {
    const { host, clock, failures } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    for (let count = 0; count < 6; count++) {
      host.send(gate, { type: 'Break' });
      await clock.settle();
    }
    assert.equal(host.status(gate), 'failed');
    assert.equal(failures.at(-1)?.kind, 'zone-stopped');
    await clock.advance(2_000);
    assert.equal(host.status(gate), 'active');
  });
});

describe('fault 4: an observer that throws changes nothing', () => {
  test('other zones decide, every batch reaches the log, and the failure is reported', async () => {
    let calls = 0;
    const { host, clock, log, failures } = newHost([turnstile], {
      options: {
        onDecided: () => {
          calls++;
          throw new Error('observer broke');
        },
        onDurable: () => {
          throw new Error('observer broke');
        },
        onRecovered: () => {
          throw new Error('observer broke');
        },
        onSnapshot: () => {
          throw new Error('observer broke');
        },
        onStatus: () => {
          throw new Error('observer broke');
        },
      },
    });
    await settled(clock, Promise.all([host.open(gate), host.open(other)]));
    host.send(gate, admit(1));
    host.send(other, admit(2));
    await clock.settle();
    host.send(other, admit(3));
    await settled(clock, host.snapshotAll('hot'));
    assert.equal(calls, 3);
    assert.equal(admittedAfter(log.batches, gate, 9), 1);
    assert.equal(admittedAfter(log.batches, other, 9), 5);
    assert.ok(failures.some(({ kind, message }) => kind === 'observer' && message.includes('observer broke')));
  });

  test('an observer of failures that throws changes nothing either', async () => {
    const { host, clock } = newHost([turnstile], {
      options: {
        onFailure: () => {
          throw new Error('observer broke');
        },
      },
    });
    await settled(clock, Promise.all([host.open(gate), host.open(other)]));
    host.send(gate, { type: 'Break' });
    host.send(other, admit(2));
    await clock.settle();
    assert.equal(admittedIn(host.view(other)), 2);
    assert.equal(admittedIn(host.view(gate)), 0);
  });
});

describe('fault 5: a random number of a zone is never drawn twice, and cannot be computed without the secret', () => {
  async function draws(parts: Parameters<typeof newHost>[1], refusedBefore: number, count: number) {
    const running = newHost([turnstile], parts);
    await settled(running.clock, running.host.open(gate));
    for (let index = 0; index < refusedBefore; index++) running.host.send(gate, admit(1_000));
    for (let index = 0; index < count; index++) running.host.send(gate, { type: 'Draw' });
    await running.clock.settle();
    return { ...running, drawn: (running.host.view(gate)?.state as Turnstile).drawn };
  }

  test('not after a recovery, even if commands were refused before', async () => {
    const first = await draws({}, 20, 5);
    const second = await draws({ log: first.log, clock: first.clock }, 0, 40);
    assert.equal(new Set(second.drawn).size, 45);
  });

  test('not after a zone was rebuilt in place', async () => {
    const first = await draws({}, 3, 5);
    first.host.send(gate, { type: 'Break' });
    await first.clock.settle();
    for (let index = 0; index < 30; index++) first.host.send(gate, { type: 'Draw' });
    await first.clock.settle();
    assert.equal(new Set((first.host.view(gate)?.state as Turnstile).drawn).size, 35);
  });

  test('the numbers depend on the secret of the installation', async () => {
    const secretly = (secret: string) => ({
      options: { random: (zone: string, epoch: number) => () => Number(`0.${secret}${zone.length}${epoch}`) },
    });
    const one = await draws(secretly('1'), 0, 1);
    const two = await draws(secretly('2'), 0, 1);
    assert.notDeepEqual(one.drawn, two.drawn);
  });
});

describe('fault 6: events of another version are never applied without an upcast', () => {
  const later = defineZone<Turnstile, never, TurnstileEvent>({ ...turnstile, version: 2, decide: () => {} });

  test('a zone whose record is of an older version does not open without an upcast; the error names kind and versions', async () => {
    const first = newHost([turnstile]);
    await settled(first.clock, first.host.open(gate));
    first.host.send(gate, admit(7));
    await first.clock.settle();
    const { host, clock } = newHost([later], { log: first.log });
    await assert.rejects(settled(clock, host.open(gate)), /"turnstile".*version 1.*version 2.*upcast/);
    assert.equal(host.status(gate), 'stopped');
  });

  test('nor one whose record is of a later version than the code', async () => {
    const first = newHost([defineZone({ ...turnstile, version: 3 })]);
    await settled(first.clock, first.host.open(gate));
    first.host.send(gate, admit(7));
    await first.clock.settle();
    const { host, clock } = newHost([defineZone({ ...later, upcast: (event) => event as TurnstileEvent })], { log: first.log });
    await assert.rejects(settled(clock, host.open(gate)), /"turnstile".*version 3.*version 2/);
  });

  test('nor a state that replaces lost events', async () => {
    const first = newHost([turnstile], { spools: new MemorySpools(0) });
    await settled(first.clock, first.host.open(gate));
    first.log.away = 'gone';
    first.host.send(gate, admit(7));
    await first.clock.settle();
    first.log.away = null;
    await first.clock.advance(10_000);
    assert.ok(first.log.batches.some((batch) => batch.loss));
    const { host, clock } = newHost([defineZone({ ...later, upcast: (event) => event as TurnstileEvent })], { log: first.log });
    await assert.rejects(settled(clock, host.open(gate)), /"turnstile".*version 1.*version 2.*upcastState/);
  });
});
