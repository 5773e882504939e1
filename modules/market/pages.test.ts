import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiProblem } from '@millrace/platform/http';
import type { RowPlace } from '@millrace/platform/series';
import fc from 'fast-check';
import { readPage } from './pages.ts';

const rowsBefore = (all: readonly { time: number; arrival: number }[]) => async (limit: number, before: RowPlace | undefined) =>
  all.filter(({ time, arrival }) => !before || time < before[0] || (time === before[0] && arrival < before[2])).slice(-limit);

test('fault 63: pages by cursor hold every row once, and the last one says that it is the last', () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), async (times, limit) => {
      const all = times.sort((a, b) => a - b).map((time, arrival) => ({ time, arrival }));
      const found: object[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        const page = await readPage(limit, cursor, rowsBefore(all));
        found.unshift(...page.rows);
        cursor = page.nextCursor ?? undefined;
        pages++;
      } while (cursor !== undefined);
      assert.deepEqual(found, all);
      assert.equal(pages, Math.max(1, Math.ceil(all.length / limit)));
    }),
  ));

for (const cursor of ['x', '', 'WzFd', Buffer.from('[1,2,"3"]').toString('base64url'), Buffer.from('{}').toString('base64url')])
  test(`"${cursor}" is refused: it is no cursor`, () =>
    assert.rejects(
      readPage(1, cursor, async () => []),
      (error) => error instanceof ApiProblem && error.code === 'INVALID_CURSOR',
    ));
