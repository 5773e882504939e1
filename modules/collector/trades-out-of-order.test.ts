import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Gap, Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { TradeSequencer } from './trade-sequencer.ts';

/*
 * The law of gaps for trades without numbers: whatever connections are lost and whenever, and however late a venue sends, each trade between the first and the
 * last that were delivered is delivered itself, or lies in a recorded gap.
 */

const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const DISORDER_MS = 10_000;
/** How far the history is behind, and how long a venue takes to begin to send. */
const BEHIND_MS = 900;
const SUBSCRIBES_MS_MAX = 2_900;

type LooseStep =
  | { what: 'trade'; delay: number }
  | { what: 'lose' }
  | { what: 'connect'; sendsAfter: number }
  | { what: 'restart' }
  | { what: 'history'; answers: boolean }
  | { what: 'forget' }
  | { what: 'pass'; ms: number };

const looseStep: fc.Arbitrary<LooseStep> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ what: fc.constant('trade' as const), delay: fc.constantFrom(0, 0, 5, 300, 3_000, DISORDER_MS - 1) }),
  },
  { weight: 2, arbitrary: fc.constantFrom<LooseStep>({ what: 'lose' }, { what: 'restart' }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('connect' as const), sendsAfter: fc.nat(SUBSCRIBES_MS_MAX) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('history' as const), answers: fc.boolean() }) },
  // The history has no older trades from now on, as after midnight.
  { weight: 1, arbitrary: fc.constant<LooseStep>({ what: 'forget' }) },
  { weight: 6, arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.constantFrom(0, 10, 400, 2_000, 8_000) }) },
);

/** A trade is missed, and the history is empty when it is read. */
const EMPTY_HISTORY: LooseStep[] = [
  { what: 'trade', delay: 0 },
  { what: 'pass', ms: 10 },
  { what: 'lose' },
  { what: 'trade', delay: 0 },
  { what: 'pass', ms: 400 },
  { what: 'forget' },
  { what: 'connect', sendsAfter: 0 },
  { what: 'pass', ms: 8_000 },
];

test('no trade is missed without a recorded gap: without numbers, out of order by seconds, with a delayed start of the connection', () =>
  fc.assert(
    fc.asyncProperty(fc.array(looseStep, { minLength: 5, maxLength: 80 }), async (steps) => {
      const clock = new ManualClock(START);
      const happened: Trade[] = [];
      const old: Trade = { id: 'old', order: -1, time: START - 60_000, price: '1', quantity: '1', side: 'buy' };
      const delivered = new Map<string, Trade>();
      const sent = new Set<string>();
      const givenAfterSent = new Set<string>();
      const gaps: Gap[] = [];
      const wrong: string[] = [];
      let answers = true;
      let historyFrom = Number.NEGATIVE_INFINITY;
      /** Counts connections; the venue sends to the one that it has begun to send to. */
      let connection = 0;
      let isConnected = false;
      let sendsTo = -1;
      let line: TradeSequencer | null = null;
      function start(): void {
        const isCurrent = () => line === own;
        const newest = [...delivered.values()].sort((a, b) => a.time - b.time || a.order - b.order).at(-1) ?? null;
        const own: TradeSequencer = new TradeSequencer(
          {
            clock,
            deliver: (trade, _numbered, backfilled) => {
              if (!isCurrent()) return;
              const isRepeat = delivered.has(trade.id);
              if (isRepeat && backfilled) wrong.push(`${trade.id} was asked for and known`);
              // What the venue sends only after its history has given it, the zone knows by its id.
              if (isRepeat && givenAfterSent.has(trade.id)) wrong.push(`${trade.id} had come, and was asked for`);
              if (backfilled && sent.has(trade.id)) givenAfterSent.add(trade.id);
              delivered.set(trade.id, trade);
            },
            outOfOrder: () => {},
            fetch: async function* ({ after, since, before }) {
              assert.deepEqual([after, before], [null, null], 'nothing but its time says what is behind a trade');
              const until = clock.now() - BEHIND_MS;
              await new Promise<void>((resolve) => clock.after(150, resolve));
              if (!answers) throw new Error('503');
              const kept = [old, ...happened].filter(({ time }) => time >= historyFrom && time <= until);
              kept.sort((a, b) => a.time - b.time || a.order - b.order);
              yield kept.slice(Math.max(0, kept.findIndex(({ time }) => time >= since) - 1));
            },
            disorderMs: DISORDER_MS,
            unrecorded: async (trades) => trades.filter(({ id }) => !delivered.has(id)),
            recordGap: (gap) => void (isCurrent() && gaps.push(gap)),
            recordRepair: ({ gap: repaired, left }) => {
              const at = gaps.findIndex(({ afterId, beforeId }) => afterId === repaired?.afterId && beforeId === repaired?.beforeId);
              if (isCurrent() && at >= 0) gaps.splice(at, 1, ...left);
            },
            doubt: () => {},
            setAside: () => {},
          },
          newest,
          gaps,
        );
        line = own;
      }
      function connect(sendsAfter: number): void {
        if (isConnected) return;
        isConnected = true;
        const own = ++connection;
        line?.reconnected();
        clock.after(sendsAfter, () => {
          if (own === connection && isConnected) sendsTo = own;
        });
      }
      function lose(): void {
        if (!isConnected) return;
        isConnected = false;
        sendsTo = -1;
        line?.interrupt('the connection was lost', null);
      }
      function trade(delay: number): void {
        const id = `t${happened.length}`;
        const one: Trade = { id, order: happened.length, time: clock.now(), price: '1', quantity: '1', side: 'buy' };
        happened.push(one);
        const send = () => {
          if (sendsTo !== connection) return;
          sent.add(id);
          line?.accept(one, false);
        };
        if (delay === 0) send();
        else clock.after(delay, send);
      }
      start();
      connect(0);
      await clock.advance(1);
      trade(0);
      const [first] = happened as [Trade];
      for (const one of steps) {
        if (one.what === 'trade') trade(one.delay);
        else if (one.what === 'lose') lose();
        else if (one.what === 'connect') connect(one.sendsAfter);
        else if (one.what === 'history') answers = one.answers;
        else if (one.what === 'forget') historyFrom = clock.now();
        else if (one.what === 'pass') await clock.advance(one.ms);
        else {
          isConnected = false;
          sendsTo = -1;
          start();
        }
      }
      connect(0);
      for (let last = 0; last < 3; last++) {
        await clock.advance(SUBSCRIBES_MS_MAX);
        trade(0);
      }
      const missing = () =>
        happened.filter(
          ({ id, time }) => time >= first.time && !delivered.has(id) && !gaps.some(({ from, to }) => from <= time && time <= to),
        );
      for (let wait = 0; wait < 30; wait++) await clock.advance(500);
      assert.deepEqual([missing(), delivered.has(old.id)], [[], false]);
      assert.deepEqual(wrong, []);
      answers = true;
      await clock.advance(40_000);
      await clock.advance(1_000);
      assert.deepEqual(missing(), [], 'after the tradeGaps were tried again');
      assert.deepEqual(wrong, []);
      // Each time that the history did not answer has doubled the wait; a restart begins it anew.
      // A history without a trade before the gap does not show that it reaches back.
      const fillable = () => gaps.filter(({ from }) => [old, ...happened].some(({ time }) => time >= historyFrom && time < from));
      for (let wait = 0; wait < 40 && fillable().length > 0; wait++) await clock.advance(60_000);
      assert.deepEqual(fillable(), [], 'gaps of an earlier process are filled, too');
      assert.deepEqual(missing(), [], 'after all gaps were tried again');
    }),
    { numRuns: Number(process.env.SEQUENCER_RUNS ?? 500), timeout: 20_000, examples: [[EMPTY_HISTORY]] },
  ));
