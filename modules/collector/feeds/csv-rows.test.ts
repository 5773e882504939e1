import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { csvRows, csvRowsAtOnce, type RowSink } from './csv-rows.ts';

const READERS = { csvRows, csvRowsAtOnce };

/** What a reader makes of lines: frames as lists of values, and the rejected lines. */
async function read(name: keyof typeof READERS, lines: readonly string[]) {
  const frames: string[][] = [];
  const refused: string[] = [];
  const sink: RowSink = {
    frame: (frame) => void frames.push(Object.values(JSON.parse(frame) as Record<string, string>)),
    refused: (_reason, _detail, line) => void refused.push(line),
  };
  const reader = READERS[name](sink);
  for (const line of lines) reader.take(line);
  const atOnce = frames.length;
  await reader.end();
  return { frames, refused, atOnce };
}

for (const name of ['csvRows', 'csvRowsAtOnce'] as const)
  describe(name, () => {
    test('returns the rows of the parser for every file whose quotes are closed', () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.tuple(
              fc.string({ unit: fc.constantFrom('"', ',', 'a', '\n', '\r', ' ') }),
              fc.string({ unit: fc.constantFrom('"', 'a', '\r') }),
            ),
            {
              maxLength: 12,
            },
          ),
          async (rows) => {
            const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`;
            // The second field may have quotes that open no field.
            const text = ['x,y', ...rows.map(([first, second]) => `${quoted(first)},b${second}`)].join('\n');
            const { frames, refused } = await read(name, text.split('\n'));
            const expected = parse(text, {
              record_delimiter: '\n',
              relax_quotes: true,
              relax_column_count: true,
              skip_empty_lines: true,
            }).slice(1);
            assert.deepEqual([frames, refused], [expected, []]);
          },
        ),
      ));

    test('a quote that is not closed rejects its line, and no other', () =>
      fc.assert(
        fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 60 }), fc.constantFrom('start', 'end'), async (strays, where) => {
          const lineOf = (isStray: boolean, index: number) =>
            isStray ? (where === 'start' ? `"${index},1` : `${index},"1`) : `${index},1`;
          const lines = strays.map(lineOf);
          const { frames, refused } = await read(name, ['x,y', ...lines]);
          assert.deepEqual(
            frames,
            strays.flatMap((isStray, index) => (isStray ? [] : [[String(index), '1']])),
          );
          assert.deepEqual(
            refused,
            lines.filter((_line, index) => strays[index]),
          );
        }),
      ));

    test('a carriage return within the column names is reported, and joins no rows', async () => {
      const { frames, refused } = await read(name, ['x,y\rz', '1,2', '3,4']);
      assert.deepEqual(
        [frames, refused],
        [
          [
            ['1', '2'],
            ['3', '4'],
          ],
          ['"y\\rz"'],
        ],
      );
    });

    test('a row has at most 16 lines and 65,536 characters', async () => {
      const lines = (count: number) => ['x,y', '"a', ...Array.from({ length: count - 2 }, () => 'b,1'), 'c",1', 'd,1'];
      const longest = await read(name, lines(15));
      assert.deepEqual([longest.frames.length, longest.refused], [2, []]);
      const longer = await read(name, lines(17));
      assert.deepEqual([longer.frames.length, longer.refused], [17, ['"a']]);
      const wide = await read(name, ['x,y', `"${'a'.repeat(65_536)}`, 'b",1', 'c,1']);
      assert.deepEqual([wide.frames.length, wide.refused.length], [2, 1]);
    });
  });

test('rows after a quote that is not closed do not wait for the end of the file', async () => {
  const { atOnce } = await read('csvRowsAtOnce', ['x,y', '"a,1', ...Array.from({ length: 100 }, (_none, index) => `${index},1`)]);
  assert.equal(atOnce, 100);
});
