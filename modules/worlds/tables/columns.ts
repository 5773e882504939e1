import { sql } from 'drizzle-orm';

/** Columns of rows as arrays: one statement, however many rows. */
export function column<Row, Key extends keyof Row>(rows: readonly Row[], key: Key) {
  return sql.param(rows.map((row) => row[key]));
}
