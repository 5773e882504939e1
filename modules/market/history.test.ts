import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstrumentId } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import { ManualClock } from '@millrace/kernel/testing';
import type { CandleColumns } from '@millrace/series';
import { type History, historyForRequests, UNANSWERED_MAX } from './history.ts';

const QUERY = { instrument: 'simulator:BTC-USDT' as InstrumentId, interval: '1m', from: 0, to: 1, order: 'desc', limit: 1 } as const;

function historyWith(candles: History['candles']) {
  const clock = new ManualClock();
  const failures: string[] = [];
  const rest = {
    has: () => true,
    trades: async () => [],
    readings: async () => [],
    recomputeReads: { candles: async () => [], tradeSums: async () => [] },
  };
  const history = historyForRequests({ ...rest, candles }, clock, (message) => failures.push(message));
  return { clock, history, failures };
}

const isUnavailable = (error: unknown) => error instanceof ApiProblem && error.code === 'HISTORY_UNAVAILABLE';

test('a history that fails is a 503 for the caller, and its reason goes to the log', async () => {
  const { history, failures } = historyWith(() => Promise.reject(new Error('No space left on device')));
  await assert.rejects(history.candles(QUERY), isUnavailable);
  assert.deepEqual(failures, ['Candles could not be read from the history: No space left on device']);
  assert.deepEqual(await history.trades(QUERY), []);
});

test('a hanging history is a 503 after ten seconds', async () => {
  const { clock, history, failures } = historyWith(() => new Promise(() => {}));
  const asked = assert.rejects(history.candles(QUERY), isUnavailable);
  await clock.advance(10_000);
  await asked;
  assert.deepEqual(failures, ['Candles could not be read from the history: no answer from the history within 10000 ms']);
});

test('a history with too many pending requests gets no more', async () => {
  const answers: (() => void)[] = [];
  const { clock, history, failures } = historyWith(() => new Promise((resolve) => answers.push(() => resolve({} as CandleColumns))));
  const late = Array.from({ length: UNANSWERED_MAX }, () => assert.rejects(history.candles(QUERY), isUnavailable));
  await clock.advance(10_000);
  await Promise.all(late);
  assert.equal(failures.length, 1, 'many failures at once are told once');
  await clock.advance(1_000);
  await assert.rejects(history.candles(QUERY), isUnavailable);
  assert.equal(failures.at(-1), 'Candles could not be read from the history: it owes 1000 answers already');
  assert.equal(answers.length, UNANSWERED_MAX);
  answers[0]?.();
  await clock.advance(0);
  const asked = history.candles(QUERY);
  answers.at(-1)?.();
  assert.deepEqual(await asked, {});
});
