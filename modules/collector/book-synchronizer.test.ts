import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BookUpdate } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { BookSynchronizer } from './book-synchronizer.ts';

const book = (time: number): BookUpdate => ({ time, bids: [], asks: [] });

function setting(answers: (() => Promise<BookUpdate>)[], isFetched = true) {
  const clock = new ManualClock();
  const delivered: string[] = [];
  const lost: string[] = [];
  const asks: string[] = [];
  let asked = 0;
  const line = new BookSynchronizer({
    clock,
    deliver: ({ time }, whole) => void delivered.push(whole ? `whole ${time}` : `${time}`),
    fetch: isFetched ? () => answers[asked++]?.() ?? Promise.reject(new Error('asked too often')) : null,
    lost: (reason) => void lost.push(reason),
    onFailure: () => {},
    ask: () => void asks.push('asked'),
  });
  return { clock, delivered, lost, line, asks, asked: () => asked };
}
const fails = () => Promise.reject(new Error('it answered 503'));

test('fault 60: a failed book snapshot is requested again until it arrives, and buffered updates follow it', async () => {
  const set = setting([fails, fails, fails, async () => book(10)]);
  set.line.updated(book(1));
  await set.clock.advance(1_000);
  set.line.updated(book(2));
  await set.clock.advance(60_000);
  set.line.updated(book(3));
  assert.deepEqual(set.delivered, ['whole 10', '1', '2', '3']);
  assert.equal(set.asked(), 4);
  assert.equal(set.lost[0], 'the whole book could not be fetched: it answered 503; it is asked for again');
});

test('a book snapshot of a lost connection is not used by the next one', async () => {
  let answer = (_book: BookUpdate) => {};
  const late = () =>
    new Promise<BookUpdate>((resolve) => {
      answer = resolve;
    });
  const set = setting([late, async () => book(20)]);
  set.line.updated(book(1));
  set.line.reset('the connection was lost');
  set.line.updated(book(2));
  answer(book(10));
  await set.clock.advance(1);
  assert.deepEqual(set.delivered, ['whole 20', '2']);
  assert.deepEqual(set.lost, ['the connection was lost']);
});

test('no requests after a reset', async () => {
  const set = setting([fails]);
  set.line.updated(book(1));
  await set.clock.advance(1);
  set.line.reset('the connection was lost');
  await set.clock.advance(60_000);
  assert.equal(set.asked(), 1);
});

test('a refused message requests the whole book at once, then at most every 5 s until it arrives', async () => {
  const set = setting([], false);
  set.line.replaced(book(1));
  for (let second = 0; second < 12; second++) {
    set.line.broken('bids are missing');
    await set.clock.advance(1_000);
  }
  assert.equal(set.asks.length, 3);
  set.line.broken('bids are missing');
  set.line.replaced(book(2));
  await set.clock.advance(60_000);
  assert.equal(set.asks.length, 3);
  set.line.broken('bids are missing');
  await set.clock.advance(0);
  assert.equal(set.asks.length, 4);
});

test('a refused message fetches the whole book at once, then at most every 5 s, and the updates after it follow', async () => {
  const set = setting([async () => book(10), async () => book(20), async () => book(30), async () => book(40)]);
  for (let second = 0; second < 12; second++) {
    set.line.broken('bids are missing');
    set.line.updated(book(second));
    await set.clock.advance(1_000);
  }
  await set.clock.advance(5_000);
  assert.deepEqual(set.delivered, ['whole 10', '0', 'whole 20', '4', 'whole 30', '9', 'whole 40', '11']);
  assert.deepEqual(set.asks, []);
});
