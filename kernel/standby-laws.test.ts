import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { lastSeqOf } from './batch.ts';
import { defineZone } from './definition.ts';
import type { RecoveryStep } from './recovery.ts';
import { recover } from './recovery.ts';
import { ManualClock, MemoryLog, MemorySnapshots, MemorySpools, newHost, type TurnstileCommand, turnstile } from './testing/index.ts';

const ZONES = ['gate/a', 'gate/b', 'gate/c'] as const;
const HOSTS = [0, 1] as const;
/** So few that long outages lose events. */
const SPOOL_EVENTS = 3;

type Step =
  | { readonly type: 'command'; readonly zone: number; readonly id: number; readonly command: TurnstileCommand }
  | { readonly type: 'settle'; readonly ms: number }
  | { readonly type: 'take over'; readonly isNoticed: boolean }
  | { readonly type: 'snapshot'; readonly into: 'hot' | 'cold' }
  | { readonly type: 'outage'; readonly is: boolean }
  | { readonly type: 'break'; readonly zone: number }
  | { readonly type: 'retain'; readonly newest: number };

const zone = fc.nat(ZONES.length - 1);
const command: fc.Arbitrary<TurnstileCommand> = fc.oneof(
  fc.record({ type: fc.constant('Admit' as const), people: fc.integer({ min: 1, max: 30 }) }),
  fc.constant({ type: 'Draw' as const }),
  fc.constant({ type: 'BreakHalfway' as const }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ type: fc.constant('command' as const), zone, id: fc.nat(30), command }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('settle' as const), ms: fc.constantFrom(0, 0, 300, 6_000) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('take over' as const), isNoticed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('snapshot' as const), into: fc.constantFrom('hot', 'cold') }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('outage' as const), is: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('break' as const), zone }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('retain' as const), newest: fc.nat(3) }) },
);

/** Two hosts on one log. One owns the zones, and the other stands by for them. */
class Pair {
  readonly clock = new ManualClock(1_000);
  readonly log = new MemoryLog();
  readonly cold = new MemorySnapshots();
  readonly hot = new MemorySnapshots();
  /** Zones of which the standby cannot apply the next event. */
  readonly breaking = new Set<string>();
  readonly steps: RecoveryStep[] = [];
  readonly hosts: readonly ReturnType<typeof newHost>[];
  owner = 0;
  readonly #kind = defineZone({ ...turnstile, kind: 'gate', repliesKept: { number: 6 } });

  constructor() {
    this.log.areTogether = true;
    const { clock, log, cold, hot } = this;
    this.hosts = HOSTS.map((index) => {
      const definition = defineZone({
        ...this.#kind,
        evolve: (state, event) => {
          turnstile.evolve(state, event);
          if (this.owner !== index && this.breaking.delete('next')) throw new Error('the standby is broken');
        },
      });
      const spools = new MemorySpools(SPOOL_EVENTS);
      const onRecovered = (_zone: string, steps: readonly RecoveryStep[]) => void this.steps.push(...steps);
      return newHost([definition], { clock, log, cold, hot, spools, options: { onRecovered } });
    });
  }

  get standby() {
    return this.#hostOf(1 - this.owner);
  }

  get active() {
    return this.#hostOf(this.owner);
  }

  async open(): Promise<void> {
    await Promise.all([...ZONES.map((one) => this.active.open(one).catch(() => {})), this.clock.advance(0)]);
    for (const { host } of this.hosts) host.standBy(ZONES);
    await this.clock.settle();
  }

  async run(one: Step): Promise<void> {
    const { active, clock, log } = this;
    if (one.type === 'command')
      active.send(ZONES[one.zone] as string, one.command, { id: `c${one.id}`, source: { name: 's', place: one.id } });
    else if (one.type === 'settle') await clock.advance(one.ms);
    else if (one.type === 'take over') await this.#takeOver(one.isNoticed);
    else if (one.type === 'snapshot') await Promise.all([active.snapshotAll(one.into), clock.settle()]);
    else if (one.type === 'break') this.breaking.add('next');
    else if (one.type === 'outage') {
      log.away = one.is ? 'gone' : null;
      log.wake();
    } else if (log.away === null) await this.#retain(one.newest);
  }

  /** The record of a zone without retention, as it was before the next step. */
  recovered(of: string, seq?: number) {
    const { log, clock, hot, cold } = this;
    const whole = {
      async *read(zone: string, afterSeq: number) {
        for (const batch of log.batches) if (batch.zone === zone && lastSeqOf(batch) > afterSeq) yield structuredClone(batch);
      },
    };
    return recover(this.#kind, of, { log: whole, hot, cold, clock }, seq === undefined ? undefined : { seq });
  }

  /** Copies of the standby that are as their zone was at their seq. */
  async requireTrueCopies(): Promise<number> {
    let copies = 0;
    for (const one of ZONES) {
      const copy = structuredClone(this.standby.standbyOf(one));
      if (!copy) continue;
      copies++;
      const head = this.log.batches.findLast((batch) => batch.zone === one);
      assert.ok(copy.seq <= (head ? lastSeqOf(head) : 0), `the copy of ${one} has events that are not durable`);
      const { replay } = await this.recovered(one, copy.seq);
      assert.deepEqual(copy, { ...replay.checkpoint(), seq: replay.seq });
    }
    return copies;
  }

  async #takeOver(isNoticed: boolean): Promise<void> {
    const { log, clock } = this;
    if (log.away !== null) return;
    const [before, next] = [this.active, this.standby];
    if (isNoticed) for (const one of ZONES) before.abandon(one);
    this.breaking.clear();
    this.owner = 1 - this.owner;
    await Promise.all([...ZONES.map((one) => next.open(one)), clock.settle()]);
    for (const one of ZONES) {
      const { replay } = await this.recovered(one);
      const { state, seq } = next.view(one) ?? {};
      assert.deepEqual({ state, seq }, { state: replay.checkpoint().state, seq: replay.seq }, `${one} after the takeover`);
    }
    for (const one of ZONES) before.abandon(one);
    await clock.settle();
  }

  /** Drops old batches of which there are snapshots. */
  async #retain(newest: number): Promise<void> {
    await Promise.all([this.active.snapshotAll('cold'), this.clock.advance(0)]);
    const isCovered = ZONES.every((one) => {
      const last = this.log.batches.findLast((batch) => batch.zone === one);
      return !last || this.cold.snapshots.some(({ zone: of, seq }) => of === one && seq >= lastSeqOf(last));
    });
    if (isCovered) this.log.retain(newest);
  }

  #hostOf(index: number) {
    return (this.hosts[index] as ReturnType<typeof newHost>).host;
  }
}

test('law: a standby copy at a seq is what a recovery up to that seq gives, and a zone that is taken over is what a recovery without a copy gives', async () => {
  const seen = { copies: 0, used: 0, losses: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), async (steps) => {
      const pair = new Pair();
      await pair.open();
      for (const one of steps) {
        await pair.run(one);
        seen.copies += await pair.requireTrueCopies();
      }
      pair.log.away = null;
      await pair.clock.advance(30_000);
      await pair.run({ type: 'take over', isNoticed: true });
      seen.used += pair.steps.filter(({ source, outcome }) => source === 'standby' && typeof outcome === 'number').length;
      seen.losses += pair.log.batches.filter(({ loss }) => loss).length;
    }),
    { numRuns: 120, seed: 7 },
  );
  assert.ok(seen.copies > 2_000 && seen.used > 100 && seen.losses > 10, JSON.stringify(seen));
});
