import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type InstrumentCommand, instrumentId } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import type { Instrument } from './instrument.ts';
import { describeBook } from './views.ts';
import { instrumentZone } from './zone.ts';

const zone = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 20 });
const START = Date.UTC(2026, 0, 5, 9, 0, 0);

describe('an order book', () => {
  const whole = (last: number): InstrumentCommand => ({
    type: 'ReplaceBook',
    book: {
      time: START,
      bids: [
        ['10', '1'],
        ['9', '2'],
      ],
      asks: [
        ['11', '1'],
        ['12', '2'],
      ],
      continuity: { last },
    },
  });
  const change = (first: number, last: number, previous?: number, time = START): InstrumentCommand => ({
    type: 'UpdateBook',
    book: {
      time,
      bids: [
        ['10', '0'],
        ['9.5', '3'],
      ],
      asks: [],
      continuity: { first, last, ...(previous !== undefined && { previous }) },
    },
  });

  test('is built from a snapshot and updates, in order of price', () => {
    given(zone)
      .when(whole(5), change(4, 7))
      .state(({ book }) =>
        assert.deepEqual(
          book.bids.map(([, price, quantity]) => [price, quantity]),
          [
            ['9.5', '3'],
            ['9', '2'],
          ],
        ),
      );
  });

  test('ignores old updates, and updates before a snapshot', () => {
    given(zone).when(whole(5)).when(change(3, 5)).nothing();
    given(zone).when(change(1, 2)).nothing();
  });

  test('is broken when the ids of the venue begin again', () => {
    given(zone)
      .when(whole(500), change(501, 502))
      .when(change(1, 2, undefined, START + 59_000))
      .nothing()
      .when(change(2, 3, undefined, START + 61_000))
      .emitsTypes('BookBroken')
      .when(whole(3))
      .when(change(4, 5, undefined, START + 62_000))
      .emitsTypes('BookUpdated');
  });

  test('is broken when an update is missing, by either rule, and valid again after a new snapshot', () => {
    given(zone).when(whole(5)).when(change(8, 9)).emitsTypes('BookBroken');
    given(zone)
      .when(whole(5), change(6, 9, 5))
      .when(change(15, 16, 14))
      .emitsTypes('BookBroken')
      .state(({ book, quality }) => assert.deepEqual([book.synced, quality.counts.bookBreaks], [false, 1]))
      .when(whole(20))
      .state(({ book }) => assert.equal(book.synced, true));
  });

  test('fault 60: reports why it is invalid, until a new snapshot', () => {
    const lose = (reason: string): InstrumentCommand => ({ type: 'LoseBook', reason, time: START });
    const seen = (state: Instrument) => describeBook(instrumentId('a', 'B-C'), { ...state, status: 'live', reason: '' }, 5);
    given(zone).when(lose('never had one')).nothing();
    given(zone)
      .when(whole(5))
      .state((state) => assert.deepEqual([seen(state)?.status, seen(state)?.reason], ['live', null]))
      .when(lose('a new connection'))
      .emitsTypes('BookLost')
      .state((state) => assert.deepEqual([seen(state)?.status, seen(state)?.reason], ['stale', 'a new connection']))
      .when(lose('a new connection'))
      .nothing()
      .when(change(6, 7))
      .nothing()
      .when(whole(9))
      .state((state) => assert.deepEqual([seen(state)?.status, state.quality.counts.bookBreaks], ['live', 0]));
    given(zone)
      .when(whole(5))
      .when(change(8, 9))
      .state((state) => assert.match(seen(state)?.reason ?? '', /^updates between 5 and 8 are missing/));
  });

  test('is broken when the checksum of an update differs', () => {
    const update: InstrumentCommand = {
      type: 'UpdateBook',
      book: { time: START, bids: [['9.7', '1']], asks: [], continuity: { checksum: 1 } },
    };
    given(zone).when(whole(5)).when(update).emitsTypes('BookUpdated', 'BookBroken');
  });
});
