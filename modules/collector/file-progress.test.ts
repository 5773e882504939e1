import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instrumentId } from '@millrace/contracts';
import { type FileProgress, nextFile } from './file-progress.ts';

const instrument = instrumentId('venue', 'BTC-USD');
const rows = (progress: FileProgress, count: number) => Array.from({ length: count }, () => progress.countRow());

test('a file is not read while the record of its instrument cannot be: its rows would be imported again', () => {
  const market = { recordOf: () => 'closed' as const, filesOf: () => ({}) };
  assert.throws(
    () => nextFile({ instrument, file: null }, market, 'f', 'f'),
    /^Error: The zone of venue:BTC-USD is not open, so it is not known which rows were imported/,
  );
});

test('rows that were sent are not sent again, also while the zone has not decided them', () => {
  const market = { recordOf: () => 'deciding' as const, filesOf: () => ({ f: 1 }) };
  const first = nextFile({ instrument, file: null }, market, 'f', 'f');
  assert.deepEqual(rows(first, 3), [true, false, false]);
  const again = nextFile({ instrument, file: first }, market, 'f', 'f');
  assert.deepEqual(rows(again, 4), [true, true, true, false]);
  const other = nextFile({ instrument, file: again }, market, 'g', 'g');
  assert.deepEqual(rows(other, 1), [false]);
  assert.deepEqual(other.mark, { file: 'g', at: 1 });
});
