import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { PassedRange, rangesFrom, withRange } from './indexed-ranges.ts';
import type { Cursor } from './reader-rule.ts';
import type { ShardRecord } from './shard-records.ts';

const cursor = (offset: number, nonce = 'owner', index = 0): Cursor => ({ offset, epoch: 1, nonce, index });
const claim: ShardRecord = { kind: 'claim', epoch: 2, previous: 1, nonce: 'next' };
const head = (nonce: string): ShardRecord => ({ kind: 'head', epoch: nonce === 'next' ? 2 : 1, nonce, index: 0 });

function passed(begin: Cursor, records: readonly (readonly [ShardRecord, Cursor])[], end: Cursor): PassedRange {
  const range = new PassedRange(begin);
  for (const [record, at] of records) range.note(record, at);
  range.end = end;
  return range;
}

describe('a range that a reader has passed', () => {
  test('counts from its begin to its last batch or head', () => {
    const range = passed(cursor(3), [[head('owner'), cursor(5)]], cursor(9));
    assert.deepEqual(range.take(), { from: 3, to: cursor(6) });
    assert.equal(range.take(), null);
  });

  test('counts nothing before a claim when nothing before it has proven the cursor, which may be wrong', () => {
    const claimed = { ...cursor(7, 'next'), epoch: 2 };
    assert.equal(passed(cursor(3, 'lost'), [[claim, cursor(5, 'lost')]], claimed).take(), null);
    const records = [[claim, cursor(5, 'lost')] as const, [head('next'), claimed] as const];
    assert.deepEqual(passed(cursor(3, 'lost'), records, claimed).take(), { from: 5, to: { ...claimed, offset: 8 } });
    // The log itself tells its start.
    assert.equal(passed(cursor(0, ''), records, claimed).take()?.from, 0);
  });

  test('continues with what the reader passes next', () => {
    const range = passed(cursor(3), [[head('owner'), cursor(4)]], cursor(6));
    assert.deepEqual(range.take(), { from: 3, to: cursor(5) });
    range.continueWith(passed(cursor(6), [], cursor(8)));
    assert.equal(range.take(), null);
    range.continueWith(passed(cursor(8), [[head('owner'), cursor(9)]], cursor(12)));
    assert.deepEqual([range.take(), range.end], [{ from: 5, to: cursor(10) }, cursor(12)]);
    const unproven = passed(cursor(3), [], cursor(6));
    unproven.continueWith(passed(cursor(6), [[head('owner'), cursor(7)]], cursor(8)));
    assert.deepEqual(unproven.take(), { from: 3, to: cursor(8) });
  });
});

describe('ranges of a shard', () => {
  const added = fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 12 })), { maxLength: 20 });

  test('law: have exactly the records of the ranges that were added, in order and apart, at most the eight longest', () =>
    fc.assert(
      fc.property(added, fc.nat(70), (lengths, cut) => {
        const known = new Set<number>();
        let ranges: ReturnType<typeof withRange> = [];
        for (const [from, length] of lengths) {
          ranges = withRange(ranges, { from, to: cursor(from + length) });
          for (let offset = from; offset < from + length; offset++) known.add(offset);
        }
        const offsets = (of: typeof ranges) =>
          of.flatMap(({ from, to }) => Array.from({ length: to.offset - from }, (_none, index) => from + index));
        const had = offsets(ranges);
        assert.ok(had.every((offset) => known.has(offset)));
        if (ranges.length < 8)
          assert.deepEqual(
            had,
            [...known].sort((one, other) => one - other),
          );
        for (const [index, { from }] of ranges.entries()) assert.ok(from > (ranges[index - 1]?.to.offset ?? -1));
        assert.ok(ranges.length <= 8);
        assert.deepEqual(
          offsets(rangesFrom(ranges, cut)),
          had.filter((offset) => offset >= cut),
        );
      }),
    ));
});
