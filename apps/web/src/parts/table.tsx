import { type ReactNode, useLayoutEffect, useRef, useState } from 'react';

/** A column: content and sort key. */
export interface Column<Row> {
  readonly name: string;
  readonly hint?: string;
  readonly cell: (row: Row) => ReactNode;
  readonly by?: (row: Row) => number | string;
  readonly isText?: boolean;
  /** True if long content wraps. */
  readonly wraps?: boolean;
}

interface TableProps<Row> {
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  readonly isMarked?: (row: Row) => boolean;
  readonly empty: string;
  /** True if a table that does not fit scrolls sideways with a fixed first column, instead of becoming cards: for many numeric columns. */
  readonly scrolls?: boolean;
}

/** A dense table. Where its columns do not fit, each row becomes a card, or it scrolls (`scrolls`). A click on a column sorts by it. */
export function Table<Row>({ rows, columns, keyOf, isMarked, empty, scrolls = false }: TableProps<Row>) {
  const [order, setOrder] = useState<{ column: number; descends: boolean } | null>(null);
  const { box, isStacked } = useStacking(!scrolls);
  const by = order && columns[order.column]?.by;
  const sorted = by ? [...rows].sort((one, other) => compare(by(one), by(other)) * (order.descends ? -1 : 1)) : rows;
  const sortBy = (column: number, isText: boolean) =>
    setOrder((now) => (now?.column === column ? { column, descends: !now.descends } : { column, descends: !isText }));
  return (
    <div ref={box} className="overflow-x-auto" data-table={isStacked ? 'cards' : 'table'} tabIndex={scrolls ? 0 : undefined}>
      <table className={`text-sm ${isStacked ? 'stacked' : 'w-full'}`}>
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
              {columns.map(({ name, cell, isText = false, wraps = false }) => (
                <td
                  key={name}
                  data-name={name.trim() || undefined}
                  className={`px-3 py-1.5 first:sticky first:left-0 first:bg-surface first:pl-4 last:pr-4 ${isText ? 'text-left' : 'text-right'} ${wraps ? 'wraps' : 'whitespace-nowrap'}`}
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

/** Spare width needed before cards become a table again, px: the width of numbers changes. */
const ROOM_PX = 24;

/** True while rows are cards: a table wider than its box becomes cards, and a table again when it fits. */
function useStacking(mayStack: boolean) {
  const box = useRef<HTMLDivElement>(null);
  const [neededPx, setNeededPx] = useState<number | null>(null);
  const isStacked = neededPx !== null;
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || !mayStack) return;
    const fit = () => {
      if (neededPx === null && element.scrollWidth > element.clientWidth) setNeededPx(element.scrollWidth);
      else if (neededPx !== null && element.clientWidth >= neededPx + ROOM_PX) setNeededPx(null);
    };
    fit();
    const resized = new ResizeObserver(fit);
    resized.observe(element);
    if (element.firstElementChild) resized.observe(element.firstElementChild);
    return () => resized.disconnect();
  }, [mayStack, neededPx]);
  return { box, isStacked };
}

function compare(one: number | string, other: number | string): number {
  if (typeof one === 'string' || typeof other === 'string') return String(one).localeCompare(String(other), undefined, { numeric: true });
  return one - other;
}
