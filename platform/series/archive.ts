import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { messageOf } from '@millrace/kernel';

const DAY_MS = 86_400_000;

/** A table whose old days are moved to Parquet files. */
export interface ArchivedTable {
  readonly table: string;
  /** Columns of the file as SQL, with names instead of codes; `t` is the table. */
  readonly columns: string;
  readonly joins: string;
  readonly order: string;
}

interface ArchiveFile {
  readonly table: string;
  /** UTC days of the first and of the last row, in days since 1970. */
  readonly day: number;
  readonly lastDay: number;
  readonly path: string;
  readonly rows: number;
  /** Newest `known` time of its rows, epoch ms. */
  readonly known: number;
}

/** Maximum number of rows of a file with several days. A single day is never split. Imported history may have thousands of days. */
const FILE_ROWS_MAX = 250_000;
/** Errors of DuckDB that are not about the content of a file. */
const NO_DAMAGE = /^(INTERRUPT|Out of Memory) Error/;

/**
 * Old days as Parquet files, `archive/<table>/<first day>-<part>.parquet`: one day per file, or several days with few rows.
 * Rows are written to a temporary file, which is renamed. One transaction then deletes them from the table and registers the file. A crash before it
 * leaves an unregistered file, which the next start removes. Corrections of an archived day become another part of that day.
 * Retention counts from the `known` time of the rows: data imported today is kept for the full time, even when its event times are old.
 */
export class Archive {
  readonly #connection: DuckDBConnection;
  readonly #probe: DuckDBConnection;
  readonly #folder: string;
  readonly #tables: readonly ArchivedTable[];
  readonly #archiveAfterDays: number;
  readonly #keepDays: number;
  #files: ArchiveFile[] = [];
  /** Raised when a day is moved or a file expires. A query that ran meanwhile may have missed that day or file, so it runs again. */
  #generation = 0;
  readonly #damaged = new Map<string, string>();
  /** The newest check for damaged files. */
  #check: Promise<unknown> = Promise.resolve();

  /**
   * Opens the archive of a folder and removes files that are not registered.
   * @param connection for writes
   * @param probe for reads that find damaged files. Each may fail, which would end a transaction: it has none
   */
  static async open(
    connection: DuckDBConnection,
    probe: DuckDBConnection,
    options: { folder: string; archiveAfterDays: number; keepDays: number },
    tables: readonly ArchivedTable[],
  ): Promise<Archive> {
    await connection.run('CREATE TABLE IF NOT EXISTS archived (tbl VARCHAR, day INTEGER, path VARCHAR, row_count DOUBLE)');
    await connection.run('ALTER TABLE archived ADD COLUMN IF NOT EXISTS last_day INTEGER');
    await connection.run('ALTER TABLE archived ADD COLUMN IF NOT EXISTS known DOUBLE');
    const archive = new Archive(connection, probe, options, tables);
    await archive.#readRegister();
    archive.#removeUnregistered();
    return archive;
  }

  private constructor(
    connection: DuckDBConnection,
    probe: DuckDBConnection,
    options: { folder: string; archiveAfterDays: number; keepDays: number },
    tables: readonly ArchivedTable[],
  ) {
    this.#connection = connection;
    this.#probe = probe;
    this.#folder = join(options.folder, 'archive');
    this.#archiveAfterDays = options.archiveAfterDays;
    this.#keepDays = options.keepDays;
    this.#tables = tables;
    for (const { table } of tables) mkdirSync(join(this.#folder, table), { recursive: true });
  }

  /**
   * Runs a query over the database and the files whose days overlap the range.
   * @param query receives the files as a SQL table expression, or '' without files. It may be called again.
   * A file that cannot be read is skipped from then on, and listed in `stats().damaged`.
   */
  async through<T>(table: string, range: { from: number; to: number }, query: (files: string) => Promise<T>): Promise<T> {
    for (;;) {
      const generation = this.#generation;
      const files = this.#files.filter(
        (file) =>
          file.table === table && !this.#damaged.has(file.path) && file.day * DAY_MS < range.to && (file.lastDay + 1) * DAY_MS > range.from,
      );
      const list = files.map(({ path }) => `'${join(this.#folder, path).replaceAll("'", "''")}'`).join(', ');
      try {
        const result = await query(files.length > 0 ? `read_parquet([${list}], union_by_name = true)` : '');
        if (generation === this.#generation) return result;
      } catch (error) {
        if (NO_DAMAGE.test(messageOf(error))) throw error;
        if (generation === this.#generation && !(await this.#findDamaged(files))) throw error;
      }
    }
  }

  /**
   * Moves old days to files and deletes expired files. Must not run concurrently with writes.
   * @param now epoch ms
   * @returns number of moved rows
   */
  async run(now: number): Promise<number> {
    const firstHotDay = Math.floor(now / DAY_MS) - this.#archiveAfterDays;
    let moved = 0;
    for (const table of this.#tables) {
      const result = await this.#connection.runAndReadAll(
        `SELECT CAST(floor(time / ${DAY_MS}) AS INTEGER) AS day, count(*) FROM ${table.table} WHERE time < $1 GROUP BY day ORDER BY day`,
        [firstHotDay * DAY_MS],
      );
      const days = result.getRows().map(([day, rows]) => ({ day: Number(day), rows: Number(rows) }));
      for (const { first, last } of groupDays(days)) moved += await this.#move(table, first, last);
    }
    await this.#deleteKnownBefore(now - this.#keepDays * DAY_MS);
    return moved;
  }

  /** Retention of rows from their `known` time, ms. */
  get keepMs(): number {
    return this.#keepDays * DAY_MS;
  }

  stats(): { archivedFiles: number; archivedRows: number; damaged: { path: string; reason: string }[] } {
    return {
      archivedFiles: this.#files.length,
      archivedRows: this.#files.reduce((sum, { rows }) => sum + rows, 0),
      damaged: [...this.#damaged].map(([path, reason]) => ({ path, reason })),
    };
  }

  async #move({ table, columns, joins, order }: ArchivedTable, day: number, lastDay: number): Promise<number> {
    const path = this.#freePath(table, day);
    const whole = join(this.#folder, path);
    const range = (time: string) => `${time} >= ${day * DAY_MS} AND ${time} < ${(lastDay + 1) * DAY_MS}`;
    const written = await this.#connection.runAndReadAll(
      `COPY (SELECT ${columns} FROM ${table} t ${joins} WHERE ${range('t.time')} ORDER BY ${order})
       TO '${`${whole}.part`.replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION zstd)`,
    );
    const rows = Number(written.getRows()[0]?.[0] ?? 0);
    const newest = await this.#connection.runAndReadAll(`SELECT max(known) FROM ${table} WHERE ${range('time')}`);
    const known = Number(newest.getRows()[0]?.[0] ?? 0);
    renameSync(`${whole}.part`, whole);
    await this.#connection.run('BEGIN');
    try {
      await this.#connection.run(`DELETE FROM ${table} WHERE ${range('time')}`);
      await this.#connection.run('INSERT INTO archived (tbl, day, path, row_count, last_day, known) VALUES ($1, $2, $3, $4, $5, $6)', [
        table,
        day,
        path,
        rows,
        lastDay,
        known,
      ]);
      await this.#connection.run('COMMIT');
    } catch (error) {
      await this.#connection.run('ROLLBACK').catch(() => {});
      rmSync(whole, { force: true });
      throw error;
    }
    this.#files.push({ table, day, lastDay, path, rows, known });
    this.#generation++;
    return rows;
  }

  /** The first path of a day that no file has, registered or not. Parts of a day expire one by one, so their count is no free number. */
  #freePath(table: string, day: number): string {
    const [date] = new Date(day * DAY_MS).toISOString().split('T');
    for (let part = 1; ; part++) {
      const path = join(table, `${date}-${part}.parquet`);
      if (!this.#isRegistered(path) && !existsSync(join(this.#folder, path))) return path;
    }
  }

  #isRegistered(path: string): boolean {
    return this.#files.some((file) => file.path === path);
  }

  async #deleteKnownBefore(time: number): Promise<void> {
    const old = this.#files.filter((file) => file.known < time);
    if (old.length === 0) return;
    for (const { path } of old) await this.#connection.run('DELETE FROM archived WHERE path = $1', [path]);
    this.#files = this.#files.filter((file) => !old.includes(file));
    this.#generation++;
    for (const { path } of old) {
      this.#damaged.delete(path);
      rmSync(join(this.#folder, path), { force: true });
    }
  }

  async #readRegister(): Promise<void> {
    const result = await this.#connection.runAndReadAll('SELECT tbl, day, path, row_count, last_day, known FROM archived ORDER BY rowid');
    const files = result.getRows().map(([table, day, path, rows, lastDay, known]) => ({
      table: String(table),
      day: Number(day),
      lastDay: Number(lastDay ?? day),
      path: String(path),
      rows: Number(rows),
      known: Number(known ?? (Number(day) + 1) * DAY_MS),
    }));
    // Versions until 2026-11 could register a path twice, when they had overwritten its file. The newest entry describes the file.
    this.#files = [...new Map(files.map((file) => [file.path, file])).values()];
    for (const { path } of this.#files) if (!existsSync(join(this.#folder, path))) this.#damaged.set(path, 'the file is missing');
  }

  #removeUnregistered(): void {
    const known = new Set(this.#files.map(({ path }) => path));
    for (const { table } of this.#tables)
      for (const name of readdirSync(join(this.#folder, table)))
        if (!known.has(join(table, name))) rmSync(join(this.#folder, table, name), { force: true });
  }

  /**
   * Finds damaged files, one check at a time: all reads of a range fail at once, and the first check serves them all.
   * @param files that were not known to be damaged
   */
  #findDamaged(files: readonly ArchiveFile[]): Promise<boolean> {
    const isKnown = () => files.some(({ path }) => this.#damaged.has(path));
    const check = this.#check.then(async () => {
      if (!isKnown()) await this.#checkFiles(files);
      return isKnown();
    });
    this.#check = check.catch(() => {});
    return check;
  }

  /** Reads files whole: the number of rows alone is in the footer of a file. */
  async #checkFiles(files: readonly ArchiveFile[]): Promise<void> {
    for (const { path } of files) {
      try {
        await this.#probe.run(`SELECT bit_xor(hash(f)) FROM read_parquet('${join(this.#folder, path).replaceAll("'", "''")}') f`);
      } catch (error) {
        const reason = messageOf(error);
        if (NO_DAMAGE.test(reason)) break;
        // A file that has expired meanwhile is not damaged, and another one may get its path.
        if (this.#isRegistered(path)) this.#damaged.set(path, reason);
      }
    }
  }
}

/** Groups consecutive entries of a sorted list of days, up to `FILE_ROWS_MAX` rows per group. */
function groupDays(days: readonly { day: number; rows: number }[]): { first: number; last: number }[] {
  const groups: { first: number; last: number; rows: number }[] = [];
  for (const { day, rows } of days) {
    const open = groups.at(-1);
    if (open && open.rows + rows <= FILE_ROWS_MAX) Object.assign(open, { last: day, rows: open.rows + rows });
    else groups.push({ first: day, last: day, rows });
  }
  return groups;
}
