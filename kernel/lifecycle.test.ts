import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineZone } from './definition.ts';
import {
  beating,
  CountingClock,
  ManualClock,
  MemoryLog,
  MemorySpools,
  newHost,
  settled,
  type Turnstile,
  turnstile,
} from './testing/index.ts';

const gate = 'turnstile/gate';
const admit = (people = 1) => ({ type: 'Admit', people }) as const;
const admittedIn = (view: { state: unknown } | undefined) => (view?.state as Turnstile | undefined)?.admitted;

/** A log whose claims or appends wait until the test releases them. */
function heldLog(what: 'own' | 'append') {
  const log = new MemoryLog();
  const waiting: (() => void)[] = [];
  const held = { log, underWay: 0, mostUnderWay: 0, isHeld: false, next: () => waiting.shift()?.(), calls: 0 };
  const original = log[what].bind(log) as (...given: unknown[]) => Promise<unknown>;
  Object.assign(log, {
    [what]: async (...given: unknown[]) => {
      held.calls++;
      held.underWay++;
      held.mostUnderWay = Math.max(held.mostUnderWay, held.underWay);
      if (held.isHeld) await new Promise<void>((resolve) => waiting.push(resolve));
      return original(...given).finally(() => held.underWay--);
    },
  });
  return held;
}

describe('opening', () => {
  test('a zone that is abandoned before its opening begins is not claimed', async () => {
    const held = heldLog('own');
    const { host, clock } = newHost([turnstile], { log: held.log });
    const opening = host.open(gate);
    host.abandon(gate);
    await settled(clock, assert.rejects(opening, /removed from this host during its recovery/));
    assert.equal(held.calls, 0);
  });

  test('a zone that is abandoned while its record is read never becomes active, and does not tick', async () => {
    const statuses: string[] = [];
    const { host, clock, log } = newHost([beating], { options: { onStatus: (_zone, status) => statuses.push(status) } });
    const read = log.read.bind(log);
    let goOn = () => {};
    log.read = async function* (...given) {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      yield* read(...given);
    };
    const opening = host.open('beating/heart');
    await clock.settle();
    host.abandon('beating/heart');
    goOn();
    await settled(clock, assert.rejects(opening, /removed from this host/));
    await clock.advance(1_000);
    assert.deepEqual(statuses, ['opening', 'stopped']);
    assert.deepEqual(log.batches, []);
  });

  test('an address has one transition at a time, however often it is opened and abandoned', async () => {
    const held = heldLog('own');
    const { host, clock } = newHost([turnstile], { log: held.log });
    held.isHeld = true;
    const outcomes: string[] = [];
    for (let count = 0; count < 4; count++) {
      void host.open(gate).then(
        () => outcomes.push('opened'),
        () => outcomes.push('abandoned'),
      );
      await clock.settle();
      if (count === 1) held.next();
      await clock.settle();
      if (count < 3) host.abandon(gate);
      await clock.settle();
    }
    held.isHeld = false;
    for (let count = 0; count < 4; count++) {
      held.next();
      await clock.settle();
    }
    assert.equal(held.mostUnderWay, 1);
    assert.deepEqual(outcomes, ['abandoned', 'abandoned', 'abandoned', 'opened']);
  });

  test('an opening that fails is reported, and the zone is stopped', async () => {
    const { host, clock, log, failures } = newHost([turnstile]);
    log.away = 'gone';
    await settled(clock, assert.rejects(host.open(gate), /gone/));
    assert.deepEqual(failures, [{ kind: 'recovery', zone: gate, message: 'gone' }]);
    assert.equal(host.status(gate), 'stopped');
  });
});

describe('a zone that fails', () => {
  test('replies to waiting commands when it cannot be rebuilt, and reports the delay of the next attempt', async () => {
    const { host, clock, log, failures } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    log.away = 'gone';
    host.send(gate, { type: 'Break' });
    const reply = await settled(clock, host.submit(gate, admit()));
    assert.equal(!reply.ok && reply.code, 'ZONE_STOPPED');
    assert.match(reply.ok ? '' : reply.message, /rebuilds it in \d+ ms/);
    assert.match(failures[0]?.message ?? '', /broken on purpose\n +at /, 'the report has the stack trace');
    assert.deepEqual(
      failures.map(({ kind }) => kind),
      ['zone-failed', 'recovery', 'zone-stopped'],
    );
  });

  test('is rebuilt at once again when its last failures were more than a minute ago', async () => {
    const { host, clock } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    for (let count = 0; count < 5; count++) {
      host.send(gate, { type: 'Break' });
      await clock.settle();
    }
    await clock.advance(61_000);
    host.send(gate, { type: 'Break' });
    await clock.settle();
    assert.equal(host.status(gate), 'active');
  });

  test('repeatedly is retried with growing delays, at any uptime of the host', async () => {
    const { host, clock } = newHost([turnstile], { clock: new ManualClock(1_000_000) });
    await settled(clock, host.open(gate));
    for (let count = 0; count < 8; count++) {
      host.send(gate, { type: 'Break' });
      await clock.settle();
    }
    assert.equal(host.status(gate), 'failed');
  });

  test('on a tick is rebuilt, and continues to tick', async () => {
    let isBroken = true;
    const fragile = defineZone({
      ...beating,
      tick: (state: Turnstile, context: Parameters<NonNullable<typeof beating.tick>>[1]) => {
        beating.tick?.(state, context);
        if (isBroken && state.ticks.length === 3) {
          isBroken = false;
          throw new Error('broken on a tick');
        }
      },
    });
    const { host, clock, log, failures } = newHost([fragile]);
    await settled(clock, host.open('beating/heart'));
    await clock.advance(1_000);
    assert.equal(failures[0]?.kind, 'zone-failed');
    assert.equal(host.stats().zoneFailures, 1);
    const { ticks } = host.view('beating/heart')?.state as Turnstile;
    assert.ok(ticks.length > 10);
    // Events of ticks are recorded like all others, without those of the failed tick.
    const recorded = log.batches.flatMap(({ events }) => events.map((event) => (event as unknown as { at: number }).at));
    assert.deepEqual(recorded, ticks);
  });
});

describe('a zone that an observer removes while it fails', () => {
  const heart = 'beating/heart';
  /** Removes the zone at the first notification that matches, then opens it again, and lets a minute pass. */
  async function removedAt(matches: (notification: string) => boolean) {
    const notifications: string[] = [];
    const log = new MemoryLog();
    const note = (notification: string) => {
      notifications.push(notification);
      if (!matches(notification) || notifications.includes('stopped')) return;
      test.host.abandon(heart);
    };
    const test = newHost([beating], {
      log,
      options: { onStatus: (_zone, status) => note(status), onFailure: ({ kind }) => note(kind) },
    });
    const { host, clock } = test;
    await settled(clock, host.open(heart));
    log.away = 'gone';
    host.send(heart, { type: 'Break' });
    await clock.settle();
    assert.equal(host.status(heart), 'stopped');
    log.away = null;
    await settled(clock, host.open(heart));
    await clock.advance(60_000);
    return { notifications, host, log };
  }

  for (const at of ['zone-failed', 'rebuilding', 'recovery', 'failed', 'zone-stopped'])
    test(`at "${at}" it stays removed: it is not rebuilt, and does not tick beside the zone that is opened next`, async () => {
      const { notifications, host, log } = await removedAt((notification) => notification === at);
      assert.ok(notifications.includes(at), `${notifications}`);
      const after = notifications.slice(notifications.indexOf('stopped') + 1);
      assert.deepEqual(
        after.filter((notification) => ['opening', 'rebuilding', 'failed', 'zone-lost', 'active'].includes(notification)),
        ['opening', 'active'],
      );
      if (at === 'failed') assert.ok(!after.includes('zone-stopped'), `${after}`);
      assert.equal(host.status(heart), 'active');
      const { state, epoch } = host.view(heart) as { state: Turnstile; epoch: number };
      assert.equal(epoch, 2);
      assert.equal(new Set(state.ticks).size, state.ticks.length);
      assert.ok(log.batches.every((batch) => batch.epoch <= 2));
    });
});

describe('a zone that fails after another host has claimed it', () => {
  test('is removed when its record shows that, and a durable retry gets a refusal instead of waiting forever', async () => {
    const clock = new ManualClock(1_000);
    const log = new MemoryLog();
    const first = newHost([turnstile], { clock, log });
    await first.host.open(gate);
    const second = newHost([turnstile], { clock, log });
    await second.host.open(gate);
    const source = { name: 'purse/a', place: 1 };
    assert.equal((await submitted(second.host.submit(gate, admit(), { source, durable: true }), clock)).ok, true);
    first.host.send(gate, { type: 'Break' });
    await clock.settle();
    assert.equal(first.host.status(gate), 'stopped');
    assert.ok(first.failures.some(({ kind, message }) => kind === 'zone-lost' && /epoch 1 is stale/.test(message)));
    const reply = await submitted(first.host.submit(gate, admit(), { source, durable: true }), clock);
    assert.equal(!reply.ok && reply.code, 'ZONE_STOPPED');
    assert.equal(admittedIn(second.host.view(gate)), 1);
  });
});

async function submitted<T>(reply: Promise<T>, clock: ManualClock): Promise<T> {
  await clock.settle();
  return reply;
}

describe('a release', () => {
  test('refuses new commands, and ends only when the log has all events', async () => {
    const held = heldLog('append');
    const { host, clock } = newHost([turnstile], { log: held.log });
    await settled(clock, host.open(gate));
    held.isHeld = true;
    host.send(gate, admit(4));
    let isReleased = false;
    void host.release(gate).then(() => {
      isReleased = true;
    });
    await clock.settle();
    assert.equal(host.status(gate), 'releasing');
    assert.equal(host.send(gate, admit()), false);
    assert.equal(isReleased, false);
    held.next();
    await clock.settle();
    assert.equal(isReleased, true);
    assert.equal(held.log.batches.length, 1);
  });

  /** A zone whose events are lost during its release: the log fails and the spool is full. */
  async function releasedWithLoss(last: { type: 'Admit'; people: number } | { type: 'BreakHalfway' }) {
    const parts = newHost([turnstile], { spools: new MemorySpools(0) });
    const { host, clock, log } = parts;
    await settled(clock, host.open(gate));
    host.send(gate, admit(4));
    host.send(gate, last);
    const released = host.release(gate);
    log.away = 'gone';
    await clock.settle();
    return { ...parts, released };
  }

  test('during which events are lost ends when the lost range is recorded, with the state after it', async () => {
    const { host, clock, log, released } = await releasedWithLoss(admit(2));
    assert.equal(host.status(gate), 'releasing');
    log.away = null;
    await Promise.all([released, clock.advance(10_000)]);
    const next = newHost([turnstile], { log });
    await settled(next.clock, next.host.open(gate));
    assert.equal(admittedIn(next.host.view(gate)), 6);
  });

  test('of a zone that fails on its last commands and loses events ends without them', async () => {
    const { host, clock, released } = await releasedWithLoss({ type: 'BreakHalfway' });
    await settled(clock, released);
    assert.equal(host.status(gate), 'stopped');
  });

  test('that waits for the log, of a zone that lost events and then failed, ends when the log is available', async () => {
    const { host, clock, log } = newHost([turnstile], { spools: new MemorySpools(0) });
    await settled(clock, host.open(gate));
    host.send(gate, admit(4));
    await clock.settle();
    log.away = 'gone';
    host.send(gate, admit(2));
    await clock.settle();
    const released = host.release(gate);
    host.send(gate, { type: 'BreakHalfway' });
    await clock.settle();
    log.away = null;
    await Promise.all([released, clock.advance(10_000)]);
    const next = newHost([turnstile], { log });
    await settled(next.clock, next.host.open(gate));
    assert.equal(admittedIn(next.host.view(gate)), 4);
  });

  test('that ends because the zone was abandoned does not affect the zone that was opened since', async () => {
    const { host, clock, log } = newHost([turnstile]);
    await settled(clock, host.open(gate));
    log.away = 'gone';
    host.send(gate, admit(3));
    await clock.settle();
    const released = host.release(gate);
    await clock.settle();
    host.abandon(gate);
    log.away = null;
    const opened = host.open(gate);
    await Promise.all([released, opened, clock.advance(10_000)]);
    assert.equal(host.status(gate), 'active');
    assert.equal(admittedIn(host.view(gate)), 3);
  });
});

describe('zones above the limit', () => {
  test('are released, and a tenth of the limit more', async () => {
    const { host, clock } = newHost([turnstile], { options: { zonesMax: 10 } });
    for (let count = 0; count < 10; count++) await settled(clock, host.open(`turnstile/${count}`));
    await clock.settle();
    assert.equal(host.addresses().length, 10);
    await settled(clock, host.open('turnstile/10'));
    await clock.settle();
    assert.equal(host.addresses().length, 9);
  });

  test('are those that were not opened, sent a command or viewed for longest', async () => {
    const { host, clock } = newHost([turnstile], { options: { zonesMax: 4 } });
    for (const name of ['opened', 'commanded', 'viewed', 'idle']) await settled(clock, host.open(`turnstile/${name}`));
    await settled(clock, host.open('turnstile/opened'));
    host.send('turnstile/commanded', admit());
    await clock.settle();
    host.view('turnstile/viewed');
    await settled(clock, host.open('turnstile/new'));
    await clock.settle();
    assert.deepEqual(host.addresses().sort(), ['turnstile/commanded', 'turnstile/new', 'turnstile/opened', 'turnstile/viewed']);
  });
});

describe('a closed host', () => {
  async function running(clock: ManualClock) {
    const parts = newHost([turnstile, beating], { clock });
    await settled(clock, Promise.all([parts.host.open(gate), parts.host.open('beating/heart'), parts.host.open('turnstile/broken')]));
    parts.log.away = 'gone';
    parts.host.send(gate, admit());
    parts.host.send('turnstile/broken', { type: 'Break' });
    await clock.settle();
    return parts;
  }

  test('leaves no timer: of ticks, retries, snapshots, or an unavailable log', async () => {
    const clock = new CountingClock(1_000);
    const { host } = await running(clock);
    assert.equal(host.status('turnstile/broken'), 'failed');
    await settled(clock, host.close());
    assert.equal(clock.timers, 0);
  });

  test('decides nothing while it waits for the log, and calls neither the log nor a store afterwards', async () => {
    const clock = new CountingClock(1_000);
    const { host, log, hot, decided } = await running(clock);
    let resolved = false;
    void host.recorded().then(() => {
      resolved = true;
    });
    const before = decided.length;
    hot.save = () => new Promise(() => {});
    const closing = host.close();
    await clock.advance(3_000);
    assert.equal(decided.length, before, 'no tick');
    await Promise.all([closing, clock.advance(5_000)]);
    assert.equal(resolved, true, 'those who wait for the log wait no longer');
    let calls = 0;
    log.append = async () => {
      calls++;
      return 0;
    };
    hot.save = async () => void calls++;
    await clock.advance(100_000);
    assert.equal(calls, 0);
    await assert.rejects(host.open(gate), /this host is closed/);
  });
});
