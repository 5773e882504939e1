import { type ReactNode, useState } from 'react';

/** A column: what stands in it, and what it is sorted by. */
export interface Column<Row> {
  readonly name: string;
  readonly hint?: string;
  readonly cell: (row: Row) => ReactNode;
  readonly by?: (row: Row) => number | string;
  readonly isText?: boolean;
}

interface TableProps<Row> {
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  readonly isMarked?: (row: Row) => boolean;
  readonly empty: string;
}

/** A dense table that scrolls sideways where it must, its first column staying in sight; a click on a column sorts by it. */
export function Table<Row>({ rows, columns, keyOf, isMarked, empty }: TableProps<Row>) {
  const [order, setOrder] = useState<{ column: number; descends: boolean } | null>(null);
  const by = order && columns[order.column]?.by;
  const sorted = by ? [...rows].sort((one, other) => compare(by(one), by(other)) * (order.descends ? -1 : 1)) : rows;
  const sortBy = (column: number, isText: boolean) =>
    setOrder((now) => (now?.column === column ? { column, descends: !now.descends } : { column, descends: !isText }));
  return (
    <div className="overflow-x-auto">
      <table className="w-full text-sm">
        <thead className="border-line border-b text-muted text-xs">
          <tr>
            {columns.map(({ name, hint, by: sortable, isText = false }, index) => (
              <th
                key={name}
                title={hint}
                aria-sort={order?.column === index ? (order.descends ? 'descending' : 'ascending') : undefined}
                className={`whitespace-nowrap px-3 py-2 font-normal first:sticky first:left-0 first:bg-surface first:pl-4 last:pr-4 ${isText ? 'text-left' : 'text-right'}`}
              >
                {sortable ? (
                  <button type="button" onClick={() => sortBy(index, isText)} className="hover:text-ink">
                    {name}
                    <span className="inline-block w-3 text-center">{order?.column === index ? (order.descends ? '↓' : '↑') : ''}</span>
                  </button>
                ) : (
                  name
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={keyOf(row)} className={`border-line border-b last:border-0 ${isMarked?.(row) ? 'text-warn' : ''}`}>
              {columns.map(({ name, cell, isText = false }) => (
                <td
                  key={name}
                  className={`whitespace-nowrap px-3 py-1.5 first:sticky first:left-0 first:bg-surface first:pl-4 last:pr-4 ${isText ? 'text-left' : 'text-right'}`}
                >
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <p className="px-4 py-6 text-center text-muted text-sm">{empty}</p>}
    </div>
  );
}

function compare(one: number | string, other: number | string): number {
  if (typeof one === 'string' || typeof other === 'string') return String(one).localeCompare(String(other), undefined, { numeric: true });
  return one - other;
}
