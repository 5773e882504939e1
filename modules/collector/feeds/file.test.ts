import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { instrumentId, preciseTimeOf } from '@millrace/contracts';
import { openDuckDbSeries } from '@millrace/series';
import { until } from '@millrace/testing';
import fc from 'fast-check';
import { type FileFormat, fileFeed } from './file.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-file-feed-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const fresh = (ending: string) => join(folder, `${++files}.${ending}`);

/** What a feed tells of a file whose frames have a time `t` and a number `n`. */
function read(path: string, format: FileFormat, follow = false) {
  const found: string[] = [];
  const identities: string[] = [];
  const refused: string[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  const connection = fileFeed({
    path,
    format,
    follow,
    timeOf: (frame) => preciseTimeOf(String((JSON.parse(frame) as { t: number }).t), 'ms'),
  }).open({
    opened: () => {},
    caughtUp: assert.fail,
    heard: () => {},
    file: (identity, family) => void identities.push(family === undefined ? identity : `unsorted ${family}`),
    frame: (frame) => void found.push(String((JSON.parse(frame) as { n: number }).n)),
    refused: (_reason, detail) => void refused.push(detail),
    closed: resolve,
    finished: () => resolve('finished'),
  });
  return { found, identities, refused, ended, connection };
}

const row = (t: number, n: number) => JSON.stringify({ t, n });
const lines = (...rows: string[]) => rows.map((text) => `${text}\n`).join('');

describe('a file', () => {
  test('fault 56: is read in order of time; rows of one time keep their order', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 40 }),
        fc.constantFrom<FileFormat>('jsonl', 'csv'),
        async (times, format) => {
          const path = fresh(format);
          const rows = times.map((t, n) => ({ t, n }));
          writeFileSync(
            path,
            format === 'csv' ? lines('t,n', ...rows.map(({ t, n }) => `${t},${n}`)) : lines(...rows.map(({ t, n }) => row(t, n))),
          );
          const { found, ended } = read(path, format);
          assert.equal(await ended, 'finished');
          assert.deepEqual(
            found,
            rows.toSorted((a, b) => a.t - b.t || a.n - b.n).map(({ n }) => String(n)),
          );
        },
      ),
      { numRuns: 40 },
    ));

  for (const follow of [false, true])
    test(`with a line that is too long refuses it once, and reads on after it${follow ? ', also when it is followed' : ''}`, async () => {
      const path = fresh('jsonl');
      writeFileSync(path, lines(row(1, 1), `"${'x'.repeat(3_300_000)}"`, row(2, 2)) + 'y'.repeat(1_100_000));
      const { found, refused, connection } = read(path, 'jsonl', follow);
      await until(() => found.length === 2 && refused.length >= 2, 'both rows');
      if (follow) appendFileSync(path, lines('yy', row(3, 3)));
      await until(() => found.length === (follow ? 3 : 2), 'the rows after it');
      connection.close();
      assert.deepEqual([found, refused], [follow ? ['1', '2', '3'] : ['1', '2'], Array(2).fill('a line of more than 1048576 characters')]);
    });

  for (const ending of ['', '\r', '\r\n'])
    test(`whose last line ends with ${JSON.stringify(ending)} has the same rows`, async () => {
      const path = fresh('csv');
      writeFileSync(path, `\ufefft,n\r\n1,one\r\n2,two${ending}`);
      const { found, ended } = read(path, 'csv');
      assert.equal(await ended, 'finished');
      assert.deepEqual(found, ['one', 'two']);
    });

  test('fault 54: is recognised after rows were added, unless it had to be sorted', async () => {
    const path = fresh('jsonl');
    writeFileSync(path, lines(row(1, 1), row(2, 2)));
    const first = read(path, 'jsonl');
    await first.ended;
    appendFileSync(path, lines(row(3, 3)));
    const second = read(path, 'jsonl');
    await second.ended;
    assert.deepEqual(second.identities, first.identities);
    appendFileSync(path, lines(row(0, 4)));
    const unsorted = read(path, 'jsonl');
    await unsorted.ended;
    assert.deepEqual(unsorted.identities, [`unsorted ${first.identities[0]}`]);
    assert.deepEqual(unsorted.found, ['4', '1', '2', '3']);
  });

  test('that cannot be distinguished from an imported file ends with the reason', async () => {
    const path = fresh('jsonl');
    writeFileSync(path, lines(row(1, 1)));
    const { promise: ended, resolve } = Promise.withResolvers<string>();
    fileFeed({ path, format: 'jsonl', follow: false, timeOf: () => null }).open({
      opened: () => {},
      caughtUp: assert.fail,
      heard: () => {},
      file: () => {
        throw new Error('which rows are new cannot be told');
      },
      frame: () => resolve('a frame'),
      refused: () => {},
      closed: resolve,
      finished: () => resolve('finished'),
    });
    assert.equal(await ended, 'which rows are new cannot be told');
  });
});

/** Path of a Parquet file with trades. */
async function archivedTrades(count: number): Promise<string> {
  const archive = join(folder, String(++files));
  const store = await openDuckDbSeries({ folder: archive, memoryMiB: 128, archiveAfterDays: 1, keepDays: 30 });
  const trade = { instrument: instrumentId('v', 'A-X'), time: 0, price: '1', quantity: '1', side: 'buy', known: 1e9 } as const;
  const trades = Array.from({ length: count }, (_none, order) => ({ ...trade, order, arrival: order, id: String(order) }));
  await store.write({ trades, candles: [], readings: [] }, null);
  await store.archive(1e9);
  await store.close();
  return join(archive, 'archive', 'trades', '1970-01-01-1.parquet');
}

test('a Parquet file is not read on after its connection is closed', async () => {
  const ROWS = 40_000;
  const path = await archivedTrades(ROWS);
  let examined = 0;
  const closed = fileFeed({
    path,
    format: 'parquet',
    follow: false,
    timeOf: () => {
      if (examined++ === 0) closed.close();
      return null;
    },
  }).open({
    opened: () => {},
    caughtUp: assert.fail,
    heard: () => {},
    file: assert.fail,
    frame: assert.fail,
    refused: assert.fail,
    closed: assert.fail,
    finished: assert.fail,
  });
  await until(() => examined > 0, 'the first row');
  // Another reader examines and delivers the whole file meanwhile.
  assert.equal(await read(path, 'parquet').ended, 'finished');
  assert.ok(examined < ROWS / 4, `${examined} rows were read after it was closed`);
});

describe('a file that is followed', () => {
  test('fault 62: emits a CSV row at once, also one of two lines', async () => {
    const path = fresh('csv');
    writeFileSync(path, lines('t,n', '1,one'));
    const { found, connection } = read(path, 'csv', true);
    await until(() => found.length === 1, 'the row that was there');
    appendFileSync(path, '2,tw');
    appendFileSync(path, 'o\n3,"th\nree"\n');
    await until(() => found.length === 3, 'the rows that were added');
    assert.deepEqual(found, ['one', 'two', 'th\nree']);
    connection.close();
  });

  test('fault 62: that is renamed is read to its end, then its replacement from the start', async () => {
    const path = fresh('csv');
    writeFileSync(path, lines('t,n', '1,1'));
    const { found, identities, connection } = read(path, 'csv', true);
    await until(() => found.length === 1, 'the row that was there');
    appendFileSync(path, '2,2\n');
    renameSync(path, `${path}.1`);
    appendFileSync(`${path}.1`, '3,3\n');
    writeFileSync(path, lines('n,t', '4,4', '5,5'));
    await until(() => found.length === 5, 'the rows of both');
    assert.deepEqual(found, ['1', '2', '3', '4', '5']);
    assert.equal(new Set(identities).size, 2);
    connection.close();
  });

  test('fault 62: that is rewritten starts with its header', async () => {
    for (const rows of [['9,9'], ['6,6', '7,7', '8,8', '9,9', '10,10']]) {
      const path = fresh('csv');
      writeFileSync(path, lines('t,n', '1,1', '2,2'));
      const { found, connection } = read(path, 'csv', true);
      await until(() => found.length === 2, 'the rows that were there');
      truncateSync(path);
      appendFileSync(path, lines('n,t', ...rows));
      await until(() => found.length === 2 + rows.length, 'the rows that were written');
      assert.deepEqual(
        found.slice(2),
        rows.map((text) => text.split(',')[0]),
      );
      connection.close();
    }
  });

  test('fault 62: that is rewritten while its rows are delivered starts with its header', async () => {
    const path = fresh('csv');
    writeFileSync(path, lines('t,n', '1,1', '2,2'));
    const { found, connection } = read(path, 'csv', true);
    found.push = (...rows) => {
      const count = Array.prototype.push.apply(found, rows);
      if (count === 2) {
        truncateSync(path);
        appendFileSync(path, lines('n,t', '6,6', '7,7', '8,8', '9,9', '10,10'));
      }
      return count;
    };
    await until(() => found.length === 7, 'the rows that were written');
    assert.deepEqual(found.slice(2), ['6', '7', '8', '9', '10']);
    connection.close();
  });

  test('is refused as Parquet', async () => {
    const path = fresh('parquet');
    writeFileSync(path, 'x');
    assert.match(await read(path, 'parquet', true).ended, /cannot be followed/);
  });
});
