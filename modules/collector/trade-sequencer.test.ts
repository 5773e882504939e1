import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Gap, Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { TradeSequencer } from './trade-sequencer.ts';

/*
 * The law of gaps: whatever connections are lost and whenever, each trade between the first and the last that were handed on is handed on itself, or lies in
 * a gap that is on record, also where the venue’s history lacks it. Where trades are not numbered, only those of lost connections can be missed.
 */

const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const FIRST = 500;

type Step =
  | { what: 'trade'; isSent: boolean; isForgotten: boolean; after: number }
  | { what: 'lose'; ahead: number }
  | { what: 'connect' }
  | { what: 'history'; answers: boolean }
  | { what: 'repeat'; of: number }
  | { what: 'pass'; ms: number };

const trade = fc.record({
  what: fc.constant('trade' as const),
  isSent: fc.boolean(),
  isForgotten: fc.boolean(),
  /** Many are of one moment. */
  after: fc.constantFrom(0, 0, 1, 10),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: trade },
  { weight: 1, arbitrary: fc.constant<Step>({ what: 'connect' }) },
  // What the venue’s clock said last may be the time of a quote, or of another instrument.
  { weight: 1, arbitrary: fc.record({ what: fc.constant('lose' as const), ahead: fc.constantFrom(0, 0, 5, 30, 60, 100, 10_000) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('history' as const), answers: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('repeat' as const), of: fc.nat(30) }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.constantFrom(0, 100, 400) }) },
);

/** Histories that random ones rarely give. */
const RARE: [Step[], boolean, boolean][] = [
  // A second connection is lost while no trade has come yet, and the venue’s clock was ahead of the trades that follow.
  [
    [
      { what: 'lose', ahead: 0 },
      { what: 'connect' },
      { what: 'lose', ahead: 30 },
      { what: 'pass', ms: 400 },
      { what: 'trade', isSent: false, isForgotten: false, after: 0 },
    ],
    true,
    false,
  ],
];

for (const numbered of [true, false])
  test(`no trade is missed without a recorded gap: ${numbered ? 'numbered' : 'without numbers'}`, () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60 }),
        fc.boolean(),
        fc.boolean(),
        async (steps, hasHistory, isFirstOnRecord) => {
          const clock = new ManualClock(START);
          const delivered = new Map<number, number>();
          const gaps: Gap[] = [];
          const happened: Trade[] = [];
          const forgotten = new Set<Trade>();
          const unsent = new Set<Trade>();
          let missed: string | null = null;
          let answers = true;
          let isConnected = true;
          /** Whether a trade has come that happened since this connection was made. */
          let isNewKnown = true;
          /** The number of the first that ever came: what was before it is not missed, also where an older one comes later. */
          let first: number | null = null;
          /** The number of the next trade when a connection was lost before any came, and what the venue’s clock said: whatever was lost from then on is missed. */
          let lostFrom: { order: number; time: number } | null = null;
          const line = new TradeSequencer(
            {
              clock,
              deliver: (trade) => {
                first ??= trade.order;
                delivered.set(trade.order, (delivered.get(trade.order) ?? 0) + 1);
                // What is on record now is all that is known after a crash.
                if (numbered) missed ??= whatIsMissed();
              },
              outOfOrder: () => {},
              fetch: hasHistory
                ? async function* (tradeGap) {
                    await new Promise<void>((resolve) => clock.after(150, resolve));
                    if (!answers) throw new Error('503');
                    const isWithin = ({ order, time }: Trade) =>
                      (tradeGap.after ? order > tradeGap.after.order : time >= tradeGap.since) &&
                      order < (tradeGap.before?.order ?? Number.POSITIVE_INFINITY);
                    yield happened.filter((trade) => isWithin(trade) && !forgotten.has(trade));
                  }
                : null,
              disorderMs: 0,
              unrecorded: async (trades) => trades,
              recordGap: (gap) => void gaps.push(gap),
              // As the zone does it: the gap that is repaired is one no more, what is left of it is.
              recordRepair: ({ gap: repaired, left }) =>
                gaps.splice(
                  0,
                  gaps.length,
                  ...gaps.filter(({ afterId, beforeId }) => afterId !== repaired?.afterId || beforeId !== repaired?.beforeId),
                  ...left,
                ),
              doubt: () => {},
              setAside: () => {},
            },
            null,
          );
          const whatIsMissed = (from = first ?? 0) => {
            const last = Math.max(...delivered.keys());
            for (const { order, time } of happened) {
              if (order < from || order > last || delivered.has(order)) continue;
              const isWithin = ({ afterId, beforeId, from, to }: Gap) =>
                numbered ? Number(afterId) < order && order < Number(beforeId) : from <= time && time <= to;
              if (!gaps.some(isWithin))
                return `${order - FIRST} is missing; there are ${[...delivered.keys()].map((number) => number - FIRST)}, gaps ${JSON.stringify(gaps.map(({ afterId, beforeId }) => [Number(afterId) - FIRST, Number(beforeId) - FIRST]))}`;
            }
            return null;
          };
          /** What the history itself lacks before the first trade of all, or a connection that was there did not send, nothing tells. */
          const tellsFrom = () => {
            if (lostFrom === null) return first ?? 0;
            const { order, time } = lostFrom;
            const lost = happened.find(
              (trade) => trade.order >= order && trade.time >= time && !(forgotten.has(trade) || unsent.has(trade)),
            );
            return Math.min(first ?? Number.POSITIVE_INFINITY, lost?.order ?? Number.POSITIVE_INFINITY);
          };
          const next = (isSent: boolean, isForgotten = false, after = 10) => {
            const order = FIRST + happened.length;
            // Without numbers nothing but the time says what lies in a gap.
            const time = (happened.at(-1)?.time ?? START) + (numbered ? after : 10);
            const trade: Trade = { id: numbered ? String(order) : `t${order}`, order, time, price: '1', quantity: '1', side: 'buy' };
            happened.push(trade);
            if (isForgotten) forgotten.add(trade);
            if (!isSent && isConnected) unsent.add(trade);
            if (!isSent || !isConnected) return;
            isNewKnown = true;
            accept(trade);
          };
          const accept = (trade: Trade) => {
            first ??= trade.order;
            line.accept(trade, numbered);
            if (delivered.size === 0) missed ??= `${trade.order - FIRST} has come, and nothing is on record that a crash would leave`;
          };
          /** A trade comes late, or once more: of this connection, or of one before. Nothing else is sent first after a connection was lost. */
          const repeat = (of: number) => {
            const trade = happened.at(-1 - of);
            if (trade && isConnected && isNewKnown) accept(trade);
          };
          if (isFirstOnRecord) next(true);
          for (const one of steps) {
            if (one.what === 'trade') next(one.isSent || !numbered, one.isForgotten && numbered, one.after);
            else if (one.what === 'repeat') repeat(one.of);
            else if (one.what === 'history') answers = one.answers;
            else if (one.what === 'pass') await clock.advance(one.ms);
            else if (one.what === 'lose' && isConnected) {
              isConnected = isNewKnown = false;
              const time = (happened.at(-1)?.time ?? START) + one.ahead;
              if (first === null) lostFrom ??= { order: FIRST + happened.length, time };
              line.interrupt('the connection was lost', time);
            } else if (one.what === 'connect' && !isConnected) {
              isConnected = true;
              line.reconnected();
            }
          }
          if (!isConnected) line.reconnected();
          isConnected = true;
          for (let last = 0; last < 2; last++) next(true);
          for (let wait = 0; wait < 20; wait++) await clock.advance(500);
          assert.equal(missed ?? whatIsMissed(tellsFrom()), null);
          assert.equal(Math.max(...delivered.keys()), FIRST + happened.length - 1, 'the newest is handed on');
          // What could not be asked for is asked for again, and takes away no gap but the one that it fills.
          answers = true;
          await clock.advance(40_000);
          await clock.advance(1_000);
          assert.equal(missed ?? whatIsMissed(tellsFrom()), null);
          const isInHistory = ({ afterId, beforeId }: Gap) =>
            happened.every((trade) => trade.order <= Number(afterId) || trade.order >= Number(beforeId) || !forgotten.has(trade));
          if (numbered && hasHistory) assert.deepEqual(gaps.filter(isInHistory), []);
        },
      ),
      { numRuns: Number(process.env.SEQUENCER_RUNS ?? 500), examples: RARE },
    ));

test('a numbered gap of an earlier process is requested again, unless it is old', async () => {
  const numbered = (order: number): Trade => ({ id: String(order), order, time: START + order, price: '1', quantity: '1', side: 'buy' });
  const gap = (from: number, to: number, since: number): Gap => ({
    from: START + from - since,
    to: START + to - since,
    afterId: String(from),
    beforeId: String(to),
    missing: to - from - 1,
    reason: 'the venue’s history could not be read: 503',
  });
  const clock = new ManualClock(START + 1_000);
  const asked: unknown[] = [];
  const delivered: string[] = [];
  const repaired: unknown[] = [];
  new TradeSequencer(
    {
      clock,
      deliver: ({ id }) => void delivered.push(id),
      outOfOrder: () => {},
      fetch: async function* ({ after, before }) {
        if (before === null) return;
        asked.push([after?.id, before.id]);
        yield [4, 5, 6].map(numbered);
      },
      disorderMs: 0,
      unrecorded: async (trades) => trades,
      recordGap: () => {},
      recordRepair: ({ gap, trades, left }) => void repaired.push([gap, trades, left.length]),
      doubt: () => {},
      setAside: () => {},
    },
    numbered(20),
    [gap(3, 7, 0), gap(10, 12, 13 * 3_600_000)],
  );
  await clock.advance(30_000);
  await clock.advance(1);
  assert.deepEqual(asked, [['3', '7']]);
  assert.deepEqual(delivered, ['4', '5', '6']);
  assert.deepEqual(repaired, [[{ afterId: '3', beforeId: '7' }, 3, 0]]);
});

for (const sent of [[5, 2], [2, 5], [2]])
  test(`without numbers, a late duplicate does not end a gap: ${sent.join(' before ')} after a connection that was lost during a history request`, async () => {
    const clock = new ManualClock(START);
    const happened = [0, 1, 2, 3, 4, 5].map(
      (order): Trade => ({ id: `t${order}`, order, time: START + order * 10, price: '1', quantity: '1', side: 'buy' }),
    );
    const at = (order: number) => happened[order] as Trade;
    const [delivered, gaps] = [new Set<string>(), [] as Gap[]];
    let until = 1;
    const line = new TradeSequencer(
      {
        clock,
        deliver: ({ id }) => void delivered.add(id),
        outOfOrder: () => {},
        fetch: async function* ({ after, before, since }) {
          const found = happened.slice(0, until + 1);
          await new Promise<void>((resolve) => clock.after(150, resolve));
          yield found.filter(
            ({ order, time }) => (after ? order > after.order : time >= since) && order < (before?.order ?? Number.POSITIVE_INFINITY),
          );
        },
        disorderMs: 0,
        unrecorded: async (trades) => trades,
        recordGap: (gap) => void gaps.push(gap),
        recordRepair: () => {},
        doubt: () => {},
        setAside: () => {},
      },
      null,
    );
    line.accept(at(0), false);
    line.interrupt('lost', at(0).time);
    line.reconnected();
    // The history is asked, and the connection lost once more before it answers.
    await clock.advance(3_100);
    line.interrupt('lost again', at(1).time);
    line.reconnected();
    until = 5;
    for (const order of sent) line.accept(at(order), false);
    for (let wait = 0; wait < 20; wait++) await clock.advance(500);
    assert.deepEqual(
      [...delivered].sort(),
      happened.map(({ id }) => id),
    );
    assert.deepEqual(gaps, []);
  });
