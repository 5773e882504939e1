import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { after, type EventBatch, lastSeqOf } from './batch.ts';
import type { Refused } from './command.ts';
import { within } from './deadline.ts';
import { defineZone } from './definition.ts';
import { DurableWaiters } from './durable-waiters.ts';
import { REPLIES_MAX } from './replies.ts';
import { RecordBroken, StateReplay } from './state-replay.ts';
import { beating, ManualClock, type Turnstile, turnstile } from './testing/index.ts';
import { startTicks } from './ticks.ts';
import { Zone } from './zone.ts';

/*
 * The small rules that the laws of the kernel depend on, each tested in all cases.
 */

const gate = 'turnstile/gate';
const admitOne = (people = 1) => ({ type: 'Admit', people }) as const;
const batch = (firstSeq: number, count: number, extra: Partial<EventBatch> = {}): EventBatch => ({
  zone: gate,
  epoch: 1,
  firstSeq,
  version: 1,
  time: firstSeq,
  events: Array.from({ length: count }, (_none, index) => ({ type: 'Admitted', people: firstSeq + index }) as { type: string }),
  metas: Array.from({ length: count }, (_none, index) => ({ id: `c${firstSeq + index}` })),
  ...extra,
});
const loss = (firstSeq: number, lastSeq: number, admitted: number): EventBatch =>
  batch(firstSeq, 0, {
    metas: null,
    loss: { lastSeq, checkpoint: { state: { admitted, capacity: 100, drawn: [], ticks: [] }, answered: [['lost', -lastSeq]] } },
  });

describe('the part of a batch after a seq', () => {
  test('has exactly its later events, with their metadata', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 12 }), (first, count, head) => {
        const given = batch(first, count);
        const wanted = given.events.map((_event, index) => first + index).filter((seq) => seq > head);
        const rest = after(given, head);
        assert.equal(rest?.firstSeq, wanted[0]);
        assert.deepEqual(rest?.events.map((event) => (event as unknown as { people: number }).people) ?? [], wanted);
        assert.deepEqual(
          rest?.metas?.map((meta) => meta?.id) ?? [],
          wanted.map((seq) => `c${seq}`),
        );
      }),
    ));

  test('of a lost range ends where the range ends', () => {
    const rest = after(loss(3, 9, 5), 5);
    assert.deepEqual([rest?.firstSeq, rest && lastSeqOf(rest), rest?.loss?.checkpoint.answered], [6, 9, [['lost', -9]]]);
    assert.equal(after(loss(3, 9, 5), 9), undefined);
    assert.equal(after(batch(3, 2), 4), undefined);
    assert.equal(after(batch(3, 2), 2)?.events.length, 2);
  });
});

describe('a state that is folded from batches', () => {
  const replay = () => new StateReplay(turnstile, gate, undefined);

  test('includes all events up to the last, or up to the requested one', () => {
    for (let until = 0; until <= 6; until++) {
      const folded = replay();
      for (const one of [batch(1, 2), batch(2, 3), batch(5, 2)]) folded.apply(one, until);
      assert.equal(folded.seq, until);
      assert.equal((folded.checkpoint().state as Turnstile).admitted, (until * (until + 1)) / 2);
      assert.deepEqual(
        folded.checkpoint().answered,
        Array.from({ length: until }, (_none, index) => [`c${index + 1}`, index + 1]),
      );
    }
  });

  test('jumps over a lost range to the state after it, if the requested seq is after it', () => {
    for (const [until, seq, admitted] of [
      [4, 2, 3],
      [5, 5, 70],
      [9, 6, 76],
    ] as const) {
      const folded = replay();
      for (const one of [batch(1, 2), loss(3, 5, 70), batch(6, 1)]) if (folded.seq < until) folded.apply(one, until);
      assert.deepEqual([folded.seq, (folded.checkpoint().state as Turnstile).admitted], [seq, admitted]);
    }
  });

  test('a gap is an error with the zone and the missing seq', () => {
    const folded = replay();
    folded.apply(batch(1, 1));
    assert.throws(
      () => folded.apply(batch(3, 1)),
      (error) =>
        error instanceof RecordBroken && error.name === 'RecordBroken' && /turnstile\/gate.*seq 3, but lacks seq 2/.test(error.message),
    );
  });

  test('a batch that does not follow directly is an error with the first seq that exists', () => {
    const folded = replay();
    folded.apply(batch(1, 1));
    folded.requireFollowedBy(batch(2, 1));
    assert.throws(() => folded.requireFollowedBy(batch(3, 1)), /is at seq 3, but lacks seq 2/);
    assert.throws(() => folded.requireFollowedBy(loss(2, 5, 70)), /is at seq 6, but lacks seq 2/);
  });

  test('a checkpoint has places only of zones that got commands of a source', () => {
    assert.equal('places' in replay().checkpoint(), false);
  });

  test('remembers a bounded number of replies, the newest', () => {
    const folded = replay();
    folded.apply(batch(1, 3 * REPLIES_MAX));
    assert.deepEqual(folded.checkpoint().answered.at(-1), [`c${3 * REPLIES_MAX}`, 3 * REPLIES_MAX]);
    assert.equal(folded.checkpoint().answered.length, REPLIES_MAX);
  });
});

describe('a zone in memory', () => {
  test('remembers a bounded number of replies, and drops the oldest first', () => {
    const roomy = defineZone({ ...turnstile, create: () => ({ ...turnstile.create(''), capacity: 1e9 }) });
    const zone = new Zone(roomy, gate);
    for (let index = 0; index < REPLIES_MAX + 1; index++) zone.handle(admitOne(), { id: `c${index}` }, 0);
    assert.deepEqual(zone.handle(admitOne(), { id: 'c1' }, 0), { ok: true, seq: 2 });
    assert.equal(zone.checkpoint().answered.length, REPLIES_MAX);
    assert.deepEqual(zone.handle(admitOne(), { id: 'c0' }, 0), { ok: true, seq: REPLIES_MAX + 2 });
    zone.restore(
      {
        state: zone.state,
        answered: [
          ['x', 3],
          ['y', -4],
        ],
      },
      9,
      0,
      7,
    );
    assert.deepEqual(zone.checkpoint().answered, [
      ['x', 3],
      ['y', -4],
    ]);
    assert.equal(zone.position, 7);
    zone.restore({ state: zone.state, answered: [['y', 4]] }, 9, 0, null);
    assert.deepEqual(zone.handle(admitOne(), { id: 'y' }, 0), { ok: true, seq: 4 });
  });

  test('drops the events of a failed command, with their metadata', () => {
    const zone = new Zone(turnstile, gate);
    zone.handle(admitOne(), { id: 'a' }, 0);
    assert.throws(() => zone.handle({ type: 'BreakHalfway' }, { id: 'b', actor: 'kim' }, 0));
    zone.undoFailed();
    zone.handle(admitOne(), { id: 'c' }, 0);
    const taken = zone.takeBatch(0);
    assert.deepEqual([taken?.firstSeq, taken?.metas], [1, [{ id: 'a' }, { id: 'c' }]]);
    assert.equal(zone.takeBatch(0), undefined);
  });

  test('has no random numbers before it is owned', () => {
    assert.throws(() => new Zone(turnstile, gate).handle({ type: 'Draw' }, null, 0), /before it is owned/);
  });

  test('a zone kind is refused whose name cannot be part of an address, or that has a tick without tickMs', () => {
    assert.throws(() => defineZone({ ...turnstile, kind: 'Gate/1' }), /lower-case letters/);
    for (const tickMs of [0, -1]) assert.throws(() => defineZone({ ...beating, tickMs }), /positive tickMs/);
  });
});

describe('replies that wait for the log', () => {
  test('are returned once, in the order of their events, when the log has these', () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            { weight: 3, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 3_000 }) }) },
            { weight: 1, arbitrary: fc.record({ settle: fc.integer({ min: 1, max: 3_000 }) }) },
          ),
          { maxLength: 60 },
        ),
        (steps) => {
          const waiters = new DurableWaiters();
          let wanted: { seq: number; id: number }[] = [];
          let got: number[] = [];
          let ids = 0;
          for (const step of steps) {
            if ('add' in step) {
              // Many at once.
              for (let more = 0; more < 40; more++) {
                const id = ids++;
                wanted.push({ seq: step.add, id });
                waiters.add(gate, step.add, () => got.push(id));
              }
              continue;
            }
            const due = wanted.filter(({ seq }) => seq <= step.settle).sort((a, b) => a.seq - b.seq || a.id - b.id);
            wanted = wanted.filter(({ seq }) => seq > step.settle);
            got = [];
            waiters.settle(gate, step.settle, null);
            assert.deepEqual(
              got,
              due.map(({ id }) => id),
            );
          }
          got = [];
          waiters.settleAll({ ok: false, code: 'X', message: '' });
          assert.equal(got.length, wanted.length);
        },
      ),
      { numRuns: 60 },
    ));

  test('are refused with a reason when the log will never have the events', () => {
    const waiters = new DurableWaiters();
    const refusal: Refused = { ok: false, code: 'X', message: '' };
    const got: (Refused | null)[] = [];
    waiters.add(gate, 1, (one) => got.push(one));
    waiters.settle('turnstile/other', 5, null);
    waiters.settle(gate, 1, refusal);
    assert.deepEqual(got, [refusal]);
  });
});

describe('waiting', () => {
  test('ends with the result or the time limit, and leaves no timer', async () => {
    const clock = new ManualClock();
    let timers = 0;
    const counting = Object.assign(Object.create(clock) as ManualClock, {
      after: (ms: number, callback: () => void) => {
        timers++;
        const cancel = clock.after(ms, callback);
        return () => {
          timers--;
          cancel();
        };
      },
    });
    assert.equal(await within(counting, 10, 'x', Promise.resolve(4)), 4);
    await assert.rejects(within(counting, 10, 'x', Promise.reject(new Error('broken'))), /broken/);
    assert.equal(timers, 0);
    const late = within(counting, 10, 'the log', new Promise(() => {}));
    const rejected = assert.rejects(late, /no answer from the log within 10 ms/);
    await clock.advance(10);
    await rejected;
  });

  test('the ticks of a zone end when they are stopped, also from within a tick, and those of other zones continue', async () => {
    const clock = new ManualClock();
    const steps = { a: 0, b: 0, c: 0 };
    const stopA = startTicks(clock, 50, 0, () => void steps.a++);
    const stopB = startTicks(clock, 50, 1, () => {
      steps.b++;
      if (steps.b === 3) stopB();
    });
    startTicks(clock, 50, 2, () => void steps.c++);
    clock.jump(1_000);
    await clock.advance(500);
    assert.equal(steps.b, 3);
    assert.ok(steps.a >= 12 && steps.c >= 12);
    stopA();
    const { a, c } = steps;
    await clock.advance(500);
    assert.deepEqual(steps, { a, b: 3, c: c + 10 });
  });
});
