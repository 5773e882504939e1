import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MemorySnapshots, newHost, stateAt, type TurnstileCommand, turnstile } from './testing/index.ts';

const gate = 'turnstile/gate';

const command: fc.Arbitrary<TurnstileCommand> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('Admit' as const), people: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 4, arbitrary: fc.constant({ type: 'Draw' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'BreakHalfway' as const }) },
);
const commands = fc.array(command, { maxLength: 60 });
const RUNS = { numRuns: 60 };

/** Runs commands, and advances the time after those whose index is in `pauses`. */
async function live(input: TurnstileCommand[], pauses: Set<number>, turnCommandsMax = 512) {
  const parts = newHost([turnstile], { options: { turnCommandsMax } });
  await parts.host.open(gate);
  for (const [index, one] of input.entries()) {
    parts.host.send(gate, one);
    if (pauses.has(index)) await parts.clock.settle();
    if (pauses.has(index) && index % 3 === 0) await parts.host.snapshotAll(index % 2 === 0 ? 'hot' : 'cold');
  }
  await parts.clock.settle();
  return parts;
}

describe('laws of the kernel', () => {
  test('replay equals live', () =>
    fc.assert(
      fc.asyncProperty(commands, fc.uniqueArray(fc.nat(59)), async (input, pauses) => {
        const { host, log } = await live(input, new Set(pauses));
        const replayed = newHost([turnstile], { log });
        await replayed.host.open(gate);
        assert.deepEqual(replayed.host.view(gate)?.state, host.view(gate)?.state);
        assert.equal(replayed.host.view(gate)?.seq, host.view(gate)?.seq);
      }),
      RUNS,
    ));

  test('a snapshot plus the tail of the log equals replay', () =>
    fc.assert(
      fc.asyncProperty(commands, fc.uniqueArray(fc.nat(59)), fc.boolean(), async (input, pauses, keepHot) => {
        const { host, log, hot, cold } = await live(input, new Set(pauses));
        const restored = newHost([turnstile], { log, hot: keepHot ? hot : new MemorySnapshots(), cold });
        await restored.host.open(gate);
        assert.deepEqual(restored.host.view(gate)?.state, host.view(gate)?.state);
      }),
      RUNS,
    ));

  test('any batching gives the same events', () =>
    fc.assert(
      fc.asyncProperty(commands, fc.uniqueArray(fc.nat(59)), fc.integer({ min: 1, max: 9 }), async (input, pauses, budget) => {
        const failing = (one: TurnstileCommand) => one.type === 'BreakHalfway';
        const calm = input.filter((one) => !failing(one));
        const one = await live(calm, new Set());
        const other = await live(calm, new Set(pauses), budget);
        assert.deepEqual(
          other.log.batches.flatMap((batch) => batch.events),
          one.log.batches.flatMap((batch) => batch.events),
        );
      }),
      RUNS,
    ));

  test('a retried command has one effect, whenever it is retried and whichever failures occur in between', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ id: fc.nat(8), crash: fc.boolean(), away: fc.boolean() }), { maxLength: 30 }),
        async (attempts) => {
          let parts = newHost([turnstile]);
          await parts.host.open(gate);
          for (const { id, crash, away } of attempts) {
            parts.log.away = away ? 'gone' : null;
            parts.host.send(gate, { type: 'Admit', people: 1 }, { id: `c${id}` });
            await parts.clock.settle();
            if (crash) {
              const { log, hot, cold, spools, clock } = parts;
              log.away = null;
              parts = newHost([turnstile], { log, hot, cold, spools, clock });
              await parts.host.flushed();
              await parts.host.open(gate);
            }
          }
          const distinct = new Set(attempts.map(({ id }) => id)).size;
          assert.equal((parts.host.view(gate)?.state as { admitted: number }).admitted, distinct);
        },
      ),
      RUNS,
    ));

  test('the state at every seq, from the record, equals the live state at that seq', () =>
    fc.assert(
      fc.asyncProperty(commands, fc.uniqueArray(fc.nat(59)), async (input, pauses) => {
        const parts = newHost([turnstile], { options: { turnCommandsMax: 1 } });
        await parts.host.open(gate);
        const states = new Map<number, unknown>([[0, structuredClone(parts.host.view(gate)?.state)]]);
        for (const [index, one] of input.entries()) {
          parts.host.send(gate, one);
          await parts.clock.settle();
          const view = parts.host.view(gate);
          states.set(view?.seq ?? 0, structuredClone(view?.state));
          if (pauses.includes(index)) await parts.host.snapshotAll('cold');
        }
        for (const [seq, state] of states) assert.deepEqual((await stateAt(parts, turnstile, gate, { seq })).state, state);
      }),
      { numRuns: 25 },
    ));
});
