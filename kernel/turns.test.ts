import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { keyOf } from './command.ts';
import { defineZone } from './definition.ts';
import { beating, CountingClock, ManualClock, newHost, settled, type Turnstile, turnstile } from './testing/index.ts';
import { startTicks } from './ticks.ts';

const gate = 'turnstile/gate';
const heart = 'beating/heart';
const admit = (people = 1) => ({ type: 'Admit', people }) as const;
const ticksIn = (view: { state: unknown } | undefined) => (view?.state as Turnstile).ticks;

describe('turns', () => {
  test('continue until every zone has decided its commands, also when the first zones use up a turn', async () => {
    const { host, clock, decided } = newHost([turnstile], { options: { turnTotalMax: 2 } });
    await settled(clock, Promise.all(['a', 'b', 'c'].map((name) => host.open(`turnstile/${name}`))));
    for (const [name, count] of [
      ['a', 2],
      ['b', 2],
      ['c', 1],
    ] as const)
      for (let sent = 0; sent < count; sent++) host.send(`turnstile/${name}`, admit());
    await clock.settle();
    assert.deepEqual(
      decided.map(({ zone }) => zone),
      ['turnstile/a', 'turnstile/b', 'turnstile/c'],
    );
    assert.equal(host.stats().decidedCommands, 5);
  });

  test('a command without events is accepted, at the current seq', async () => {
    const idle = defineZone<Turnstile, unknown, never>({
      kind: 'turnstile',
      version: 1,
      create: turnstile.create,
      decide() {},
      evolve() {},
    });
    const { host, clock } = newHost([idle]);
    await settled(clock, host.open(gate));
    assert.deepEqual(await settled(clock, host.submit(gate, {}, { id: 'a' })), { ok: true, seq: 0 });
    assert.deepEqual(await settled(clock, host.submit(gate, {}, { id: 'a' })), { ok: true, seq: 0 });
  });

  test('zones are listed by kind, and the key of an address is the text after the kind', async () => {
    const { host, clock } = newHost([turnstile, beating]);
    await settled(clock, Promise.all([host.open(gate), host.open(heart)]));
    assert.deepEqual(host.addresses('beating'), [heart]);
    assert.deepEqual(host.addresses(), [gate, heart]);
    assert.equal(keyOf('turnstile/north/1'), 'north/1');
  });
});

describe('ticks', () => {
  test('of zones that are opened together begin within one step, spread evenly', () => {
    const due: number[] = [];
    class NotingClock extends ManualClock {
      override after(ms: number, callback: () => void) {
        due.push(ms);
        return super.after(ms, callback);
      }
    }
    const clock = new NotingClock(1_000);
    for (let order = 0; order < 20; order++) startTicks(clock, 100, order, () => {});
    assert.ok(
      due.every((ms) => ms >= 100 && ms <= 200),
      String(due),
    );
    assert.ok(new Set(due).size >= 10);
  });

  test('report their delay and duration', async () => {
    const stats: { lateMs: number; ms: number; skippedSteps: number }[] = [];
    const clock = new ManualClock(1_000);
    const slow = defineZone({ ...beating, tick: () => clock.jump(3) });
    const { host } = newHost([slow], {
      clock,
      options: { onTick: ({ lateMs, ms, skippedSteps }) => stats.push({ lateMs, ms, skippedSteps }) },
    });
    await settled(clock, host.open(heart));
    await clock.advance(50);
    clock.jump(67);
    await clock.advance(0);
    assert.deepEqual(stats, [
      { lateMs: 0, ms: 3, skippedSteps: 0 },
      { lateMs: 17, ms: 3, skippedSteps: 0 },
    ]);
  });

  test('run only for zones with a tick: tickMs alone starts no timer', async () => {
    let count = 0;
    const { host, clock } = newHost([defineZone({ ...turnstile, tickMs: 50 })], { options: { onTick: () => count++ } });
    await settled(clock, host.open(gate));
    await clock.advance(1_000);
    assert.equal(count, 0);
  });

  test('end with the zone, and leave no timer', async () => {
    const clock = new CountingClock();
    const { host } = newHost([beating], { clock });
    const before = clock.timers;
    await settled(clock, host.open(heart));
    await clock.advance(1_000);
    host.abandon(heart);
    await clock.settle();
    assert.equal(clock.timers, before);
  });

  test('after the wall clock is set back continue at their rate, and the time of the zone passes at half speed until the clock is there', async () => {
    const late: number[] = [];
    const { host, clock } = newHost([beating], { options: { onTick: ({ lateMs }) => late.push(lateMs) } });
    await settled(clock, host.open(heart));
    await clock.advance(1_000);
    const before = ticksIn(host.view(heart)).length;
    clock.setBack(60_000);
    const setBackFrom = clock.elapsed();
    await clock.advance(3_000);
    const since = ticksIn(host.view(heart)).slice(before);
    assert.ok(since.length >= 20 && since.length <= 61, String(since.length));
    assert.deepEqual([...new Set(late)], [0]);
    const times = [setBackFrom, ...since];
    assert.ok(
      times.slice(1).every((at, index) => at >= (times[index] ?? 0)),
      'no tick has an earlier time',
    );
    assert.ok(Math.abs((since.at(-1) ?? 0) - setBackFrom - 1_500) <= 50, String(since));
    await clock.advance(150_000);
    assert.equal(ticksIn(host.view(heart)).at(-1), clock.now());
  });
});
