import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventBatch } from '@millrace/kernel';
import fc from 'fast-check';
import { afterRecord, type Cursor, cursorAtStart, isValid, SHARD_START } from './reader-rule.ts';
import { decodeRecord, encodeRecord, type ShardRecord } from './shard-records.ts';
import { readFetched } from './shard-tail.ts';

const batch = { zone: 'counter/a', epoch: 1, firstSeq: 1, version: 1, time: 0, events: [{ type: 'Counted' }], metas: null } as EventBatch;
const nonces = fc.constantFrom('n1', 'n2', 'n3');
const small = fc.nat(4);
const plain = { noNullPrototype: true };
const claim = (nonce: string): ShardRecord => ({ kind: 'claim', epoch: 1, previous: 0, nonce });
/** Few values, so that many records are valid by chance. */
const records: fc.Arbitrary<ShardRecord | null> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('claim' as const), epoch: small, previous: small, nonce: nonces }, plain) },
  {
    weight: 1,
    arbitrary: small.chain((epoch) => nonces.map((nonce) => ({ kind: 'claim' as const, epoch: epoch + 1, previous: epoch, nonce }))),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('data' as const), nonce: nonces, index: small, batch: fc.constant(batch) }, plain),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('head' as const), epoch: small, nonce: nonces, index: small }, plain) },
  { weight: 1, arbitrary: fc.constant(null) },
);

function readFrom(from: Cursor, log: readonly (ShardRecord | null)[]): { cursors: Cursor[]; valid: number[] } {
  const valid: number[] = [];
  const cursors = [from];
  let cursor = from;
  for (let offset = from.offset; offset < log.length; offset++) {
    const record = log[offset] ?? null;
    if (isValid(record, cursor)) valid.push(offset);
    cursor = afterRecord(record, cursor);
    cursors.push(cursor);
  }
  return { cursors, valid };
}

describe('the reader rule', () => {
  test('gives the same records after a place, wherever a reader has begun', () => {
    fc.assert(
      fc.property(fc.array(records, { maxLength: 60 }), fc.nat(60), (log, place) => {
        const { cursors, valid } = readFrom(SHARD_START, log);
        const from = cursors[Math.min(place, log.length)] as Cursor;
        assert.deepEqual(
          readFrom(from, log).valid,
          valid.filter((offset) => offset >= from.offset),
        );
      }),
    );
  });

  test('has one owner at each place: epochs rise, with one nonce each, and the data of an epoch is numbered without gaps', () => {
    fc.assert(
      fc.property(fc.array(records, { maxLength: 60 }), (log) => {
        const { valid } = readFrom(SHARD_START, log);
        let owner = { epoch: 0, nonce: '', written: 0 };
        for (const offset of valid) {
          const record = log[offset] as ShardRecord;
          if (record.kind === 'claim') {
            assert.ok(record.previous === owner.epoch && record.epoch > owner.epoch);
            owner = { epoch: record.epoch, nonce: record.nonce, written: 0 };
          } else {
            assert.equal(record.nonce, owner.nonce);
            assert.equal(record.index, owner.written);
            if (record.kind === 'data') owner.written++;
          }
        }
      }),
    );
  });

  test('can begin at a valid claim or head after a cut, with the same result', () => {
    fc.assert(
      fc.property(fc.array(records, { maxLength: 60 }), (log) => {
        const { valid } = readFrom(SHARD_START, log);
        for (const offset of valid.filter((one) => one > 0 && log[one]?.kind !== 'data'))
          assert.deepEqual(
            readFrom(cursorAtStart(offset, log[offset] ?? null), log).valid,
            valid.filter((one) => one >= offset),
          );
      }),
      { examples: [[[claim('n1'), { kind: 'head', epoch: 0, nonce: 'n1', index: 0 }, claim('n2')]]], numRuns: 1_000 },
    );
    assert.throws(
      () => cursorAtStart(5, { kind: 'data', nonce: 'n1', index: 0, batch }),
      /begins at offset 5 with data.*retention\.ms=-1/s,
    );
    assert.throws(() => cursorAtStart(5, null), /a record of another program/);
  });
});

test('a read is refused if records at its place were deleted: a claim may have been among them', () => {
  const fetched = { records: [{ offset: 9, value: null }], start: 9, highWatermark: 10 };
  assert.throws(() => readFetched({ offset: 8, epoch: 1, nonce: 'n1', index: 0 }, fetched, () => {}), { failure: 'out-of-range' });
  assert.equal(readFetched({ offset: 9, epoch: 1, nonce: 'n1', index: 0 }, fetched, () => {}).offset, 10);
});

describe('records of a shard', () => {
  test('are read as they were written', () => {
    fc.assert(
      fc.property(records, (record) => {
        if (record !== null) assert.deepEqual(decodeRecord(encodeRecord(record).value), record);
      }),
    );
  });

  test('of other programs are no records', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => assert.equal(decodeRecord(Buffer.from(bytes)), null)));
    assert.equal(decodeRecord(null), null);
    for (const other of [
      { kind: 'claim', nonce: 'a', epoch: 1.5, previous: 0 },
      { kind: 'data', nonce: 'a', index: 0, batch: { zone: 'a' } },
      { kind: 'x', nonce: '' },
    ])
      assert.equal(decodeRecord(encodeRecord(other as unknown as ShardRecord).value), null);
  });
});
