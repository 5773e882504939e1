import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Gap, Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { TradeLine } from './trade-line.ts';

/*
 * The law of holes: whatever connections are lost and whenever, each trade between the first and the last that were handed on is handed on itself, or lies in
 * a gap that is on record, also where the venue’s history lacks it. Where trades are not numbered, only those of lost connections can be missed.
 */

const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const FIRST = 500;

type Step =
  | { what: 'trade'; isSent: boolean; isForgotten: boolean }
  | { what: 'lose' | 'connect' }
  | { what: 'history'; answers: boolean }
  | { what: 'pass'; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ what: fc.constant('trade' as const), isSent: fc.boolean(), isForgotten: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constantFrom<Step>({ what: 'lose' }, { what: 'connect' }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('history' as const), answers: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.constantFrom(0, 100, 400) }) },
);

for (const numbered of [true, false])
  test(`no trade is missed without a gap that says so: ${numbered ? 'numbered' : 'without numbers'}`, () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), fc.boolean(), async (steps, hasHistory) => {
        const clock = new ManualClock(START);
        const delivered = new Map<number, number>();
        const gaps: Gap[] = [];
        const happened: Trade[] = [];
        const forgotten = new Set<Trade>();
        let answers = true;
        let isConnected = true;
        const line = new TradeLine(
          {
            clock,
            deliver: (trade) => void delivered.set(trade.order, (delivered.get(trade.order) ?? 0) + 1),
            outOfOrder: () => {},
            fetch: hasHistory
              ? async function* (hole) {
                  await new Promise<void>((resolve) => clock.after(150, resolve));
                  if (!answers) throw new Error('503');
                  const isWithin = ({ order }: Trade) =>
                    order > (hole.after?.order ?? 0) && order < (hole.before?.order ?? Number.POSITIVE_INFINITY);
                  yield happened.filter((trade) => isWithin(trade) && !forgotten.has(trade));
                }
              : null,
            recordGap: (gap) => void gaps.push(gap),
            // As the zone does it: a repair ends the gaps that lie within.
            recordRepair: (from, to) => gaps.splice(0, gaps.length, ...gaps.filter((gap) => gap.from < from || gap.to > to)),
            doubt: () => {},
            setAside: () => {},
          },
          null,
        );
        const next = (isSent: boolean, isForgotten = false) => {
          const order = FIRST + happened.length;
          const trade: Trade = { id: String(order), order, time: START + happened.length * 10, price: '1', quantity: '1', side: 'buy' };
          happened.push(trade);
          if (isForgotten) forgotten.add(trade);
          if (isSent && isConnected) line.accept(trade, numbered);
        };
        next(true);
        for (const one of steps) {
          if (one.what === 'trade') next(one.isSent || !numbered, one.isForgotten && numbered);
          else if (one.what === 'history') answers = one.answers;
          else if (one.what === 'pass') await clock.advance(one.ms);
          else if (one.what === 'lose' && isConnected) {
            isConnected = false;
            line.interrupt('the connection was lost', happened.at(-1)?.time ?? null);
          } else if (one.what === 'connect' && !isConnected) {
            isConnected = true;
            line.reconnected();
          }
        }
        if (!isConnected) line.reconnected();
        isConnected = true;
        for (let last = 0; last < 2; last++) next(true);
        for (let wait = 0; wait < 20; wait++) await clock.advance(500);
        const last = Math.max(...delivered.keys());
        for (const { order, time } of happened) {
          if (order > last || delivered.has(order)) continue;
          assert.ok(
            gaps.some((gap) => gap.from <= time && time <= gap.to),
            `${order - FIRST} is missing; there are ${[...delivered.keys()].map((number) => number - FIRST)}, gaps ${JSON.stringify(gaps.map(({ afterId, beforeId }) => [Number(afterId) - FIRST, Number(beforeId) - FIRST]))}`,
          );
        }
        assert.equal(last, FIRST + happened.length - 1, 'the newest is handed on');
      }),
      { numRuns: Number(process.env.LINE_RUNS ?? 500) },
    ));
