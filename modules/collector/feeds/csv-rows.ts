import { messageOf } from '@millrace/kernel';
import { parse as csvParser } from 'csv-parse';
import { parse as parseCsv } from 'csv-parse/sync';
import type { FeedEvents } from '../source.ts';

/** Lines are split before. Without a fixed delimiter the parser would take a carriage return within the first line for that of the whole file. */
const CSV = { record_delimiter: '\n', relax_quotes: true, relax_column_count: true, skip_empty_lines: true } as const;
/** Maximum number of lines of a row: of a quoted field with line breaks. A quote that is not closed by then is a fault of its line. */
const ROW_LINES_MAX = 16;
/** Maximum number of characters of a row with several lines. */
const ROW_CHARACTERS_MAX = 64 * 1024;
/** Characters of a rejected line in the quarantine and in its reason. */
const FRAME_CHARACTERS_MAX = 512;
const SHOWN_CHARACTERS_MAX = 80;

/** Receives the rows of a file. */
export type RowSink = Pick<FeedEvents, 'frame' | 'refused'>;

/** Converts lines to frames. `end` resolves after the last one. */
export interface RowReader {
  take(line: string): void;
  end(): Promise<void>;
}

/** Fast parser of CSV rows. It holds the newest row until the next one. */
export function csvRows(sink: RowSink): RowReader {
  const row = csvRow(sink);
  const parser = csvParser(CSV);
  parser.on('readable', () => {
    for (let values: string[] | null = parser.read(); values !== null; values = parser.read()) row(values);
  });
  parser.on('error', (error) => sink.refused('schema', `invalid CSV: ${error.message}`, ''));
  const rows = new RowLines(sink, (text) => void parser.write(`${text}\n`));
  return {
    take: (line) => rows.take(line),
    end: () =>
      new Promise((resolve) => {
        rows.end();
        parser.once('close', resolve);
        parser.end();
      }),
  };
}

/** Parser of CSV rows that emits each row as soon as it is complete. */
export function csvRowsAtOnce(sink: RowSink): RowReader {
  const row = csvRow(sink);
  const rows = new RowLines(sink, (text) => {
    try {
      for (const values of parseCsv(text, CSV) as string[][]) row(values);
    } catch (error) {
      sink.refused('schema', `invalid CSV: ${messageOf(error)}`, text.slice(0, FRAME_CHARACTERS_MAX));
    }
  });
  return { take: (line) => rows.take(line), end: async () => rows.end() };
}

/** Joins the lines of a row: a quoted field may contain line breaks. Rejects a line whose quote is not closed, and reads the lines after it anew. */
class RowLines {
  readonly #sink: RowSink;
  readonly #row: (text: string) => void;
  #lines: string[] = [];
  #characters = 0;

  constructor(sink: RowSink, row: (text: string) => void) {
    this.#sink = sink;
    this.#row = row;
  }

  take(line: string): void {
    const ending = endOfLine(line, this.#lines.length > 0);
    if (ending === 'row' && this.#lines.length === 0) return this.#row(line);
    this.#lines.push(line);
    this.#characters += line.length + 1;
    if (ending === 'row') this.#complete();
    else if (ending === 'broken' || this.#lines.length >= ROW_LINES_MAX || this.#characters > ROW_CHARACTERS_MAX) this.#reject();
  }

  end(): void {
    while (this.#lines.length > 0) this.#reject();
  }

  #complete(): void {
    const text = this.#lines.join('\n');
    this.#clear();
    this.#row(text);
  }

  /** Rejects the first line. Each level of recursion has one line less. */
  #reject(): void {
    const [first = '', ...others] = this.#lines;
    this.#clear();
    const shown = first.length > SHOWN_CHARACTERS_MAX ? `${first.slice(0, SHOWN_CHARACTERS_MAX)}…` : first;
    this.#sink.refused(
      'schema',
      `a quote is not closed in the line ${shown} or within the ${ROW_LINES_MAX} lines from it; close it, or write "" for a quote within a quoted field`,
      first.slice(0, FRAME_CHARACTERS_MAX),
    );
    for (const line of others) this.take(line);
  }

  #clear(): void {
    this.#lines = [];
    this.#characters = 0;
  }
}

/**
 * What ends with a line, by the rules of the parser: the row; or nothing, because a quoted field is `open`. `broken`: a field that was open before this
 * line ends with a quote that no comma follows, so the quote that opened it was probably a stray one.
 */
function endOfLine(line: string, wasOpen: boolean): 'row' | 'open' | 'broken' {
  let at = 0;
  if (wasOpen) {
    const closing = closingQuote(line, 0);
    if (closing === -1) return 'open';
    at = closing + 1;
    if (at < line.length && line[at] !== ',') return 'broken';
  } else if (line.startsWith('"')) {
    const closing = closingQuote(line, 1);
    if (closing === -1) return 'open';
    at = closing + 1;
  }
  // A quote opens a field only at its beginning.
  for (let opening = line.indexOf(',"', at); opening !== -1; opening = line.indexOf(',"', at)) {
    const closing = closingQuote(line, opening + 2);
    if (closing === -1) return 'open';
    at = closing + 1;
  }
  return 'row';
}

/** Index of the quote that ends a quoted field, at or after an index; -1 if there is none. Two quotes are one of its characters. */
function closingQuote(line: string, from: number): number {
  for (let at = line.indexOf('"', from); at !== -1; at = line.indexOf('"', at + 2)) if (line[at + 1] !== '"') return at;
  return -1;
}

/** Column names of the first row. Columns without a name are called `column0`, `column1`, … */
function csvRow({ frame, refused }: RowSink): (values: readonly string[]) => void {
  let columns: string[] | null = null;
  return (values) => {
    if (columns === null) {
      const name = values.find((one) => one.trim().includes('\r'));
      if (name !== undefined) {
        const shown = JSON.stringify(name.slice(0, SHOWN_CHARACTERS_MAX));
        refused('schema', `the column name ${shown} contains a carriage return; end the lines of the file with LF or CRLF`, shown);
      }
      columns = values.map((one, index) => one.trim() || `column${index}`);
    } else frame(JSON.stringify(Object.fromEntries(columns.map((name, index) => [name, values[index] ?? '']))));
  };
}
