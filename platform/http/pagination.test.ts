import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeCursor, encodeCursor, paginate } from './pagination.ts';

const keyOf = (row: { id: string }) => row.id;
const rowsOf = (ids: string[]) => ids.map((id) => ({ id }));

/** All rows, page by page; `between` may change the list after each page. */
function walk(ids: string[], limit: number, between: (ids: string[], last: string, page: number) => string[] = (same) => same): string[] {
  const found: string[] = [];
  let list = ids;
  let cursor: string | undefined;
  for (let page = 0; ; page++) {
    const { data, nextCursor } = paginate(rowsOf(list), { limit, ...(cursor !== undefined && { cursor }) }, keyOf);
    found.push(...data.map(keyOf));
    assert.ok(data.length <= limit);
    if (nextCursor === null) return found;
    assert.equal(data.length, limit);
    list = between(list, found.at(-1) as string, page);
    cursor = nextCursor;
  }
}

const someIds = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 40 });

test('the pages of an unchanged list contain each row once, in order', () => {
  fc.assert(fc.property(someIds, fc.integer({ min: 1, max: 50 }), (ids, limit) => assert.deepEqual(walk(ids, limit), ids)));
});

test('rows that are inserted or removed meanwhile neither repeat nor hide others while the last row of the page is kept', () => {
  const edits = fc.array(fc.record({ isInsert: fc.boolean(), at: fc.nat(60) }), { maxLength: 20 });
  fc.assert(
    fc.property(someIds, fc.integer({ min: 1, max: 10 }), edits, (ids, limit, changes) => {
      const changed = new Set<string>();
      const found = walk(ids, limit, (list, last, page) => {
        const { isInsert, at } = changes[page] ?? { isInsert: false, at: 0 };
        const edited = isInsert ? `new-${page}` : list[at % list.length];
        if (edited === undefined || edited === last) return list;
        changed.add(edited);
        return isInsert ? list.toSpliced(at % (list.length + 1), 0, edited) : list.filter((id) => id !== edited);
      });
      const unchanged = (all: string[]) => all.filter((id) => !changed.has(id));
      assert.deepEqual(unchanged(found), unchanged(ids));
      assert.equal(new Set(found).size, found.length);
    }),
  );
});

test('a removed last row hides no other', () => {
  const first = paginate(rowsOf(['a', 'b', 'c', 'd']), { limit: 2 }, keyOf);
  assert.deepEqual(paginate(rowsOf(['a', 'c', 'd']), { limit: 2, cursor: first.nextCursor as string }, keyOf).data.map(keyOf), ['c', 'd']);
});

for (const cursor of [
  '',
  'x',
  encodeCursor(['a', 1.5]),
  encodeCursor(['a', 1e19]),
  encodeCursor(['\0', 1]),
  encodeCursor(['a']),
  encodeCursor(['a', 'b']),
  encodeCursor(['a', 1, 2]),
  Buffer.from('["a",null]').toString('base64url'),
])
  test(`"${cursor}" is not a cursor of a list`, () => {
    assert.throws(() => decodeCursor(cursor, ['string', 'number']), { code: 'INVALID_CURSOR' });
  });

test('rows with equal or long keys are each returned once', () => {
  const rows = ['same', 'same', 'x'.repeat(5_000), 'x'.repeat(5_000), 'same'].map((id, number) => ({ id, number }));
  const found: number[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = paginate(rows, { limit: 1, ...(cursor !== undefined && { cursor }) }, keyOf);
    found.push(...page.data.map(({ number }) => number));
    if (page.nextCursor === null) break;
    assert.ok(page.nextCursor.length < 200);
    assert.ok(found.length < 10, 'it ends');
    cursor = page.nextCursor;
  }
  assert.deepEqual(found, [0, 1, 2, 3, 4]);
});

test('rows that are removed during reading hide no other, also when the last row of a page is among them', () => {
  fc.assert(
    fc.property(
      someIds,
      fc.integer({ min: 1, max: 10 }),
      fc.array(fc.array(fc.nat(60), { maxLength: 10 }), { maxLength: 20 }),
      (ids, limit, removals) => {
        const removed = new Set<string>();
        const found = walk(ids, limit, (list, _last, page) => {
          for (const at of removals[page] ?? []) if (list.length > 0) removed.add(list[at % list.length] as string);
          return list.filter((id) => !removed.has(id));
        });
        const given = new Set(found);
        assert.deepEqual(
          ids.filter((id) => !given.has(id) && !removed.has(id)),
          [],
        );
      },
    ),
  );
});

test('a list whose rows are removed page by page is read to its end', () => {
  let list = Array.from({ length: 25 }, (_none, number) => ({ id: String(number) }));
  let cursor: string | undefined;
  for (;;) {
    const { data, nextCursor } = paginate(list, { limit: 10, ...(cursor !== undefined && { cursor }) }, keyOf);
    list = list.filter((row) => !data.includes(row));
    if (nextCursor === null) break;
    cursor = nextCursor;
  }
  assert.deepEqual(list, []);
});
