import { existsSync, statSync, watch } from 'node:fs';
import { open } from 'node:fs/promises';
import { readParquet } from '@millrace/platform/series';
import { parse as csvParser } from 'csv-parse';
import type { Feed, FeedEvents } from '../source.ts';

export type FileFormat = 'csv' | 'jsonl' | 'parquet';

const READ_BYTES = 64 * 1024;
const LINE_CHARACTERS_MAX = 1024 * 1024;
/** File systems that tell of no change are looked at this often in follow mode. */
const LOOK_EVERY_MS = 1_000;

/** The format that a file’s ending tells; undefined when it tells none. */
export function formatOf(path: string): FileFormat | undefined {
  if (/\.csv$/i.test(path)) return 'csv';
  if (/\.(jsonl|ndjson)$/i.test(path)) return 'jsonl';
  return /\.parquet$/i.test(path) ? 'parquet' : undefined;
}

/**
 * Rows of a file, each a JSON frame (CSV rows become objects by column name). With `follow`, lines that are appended later
 * come too, also after the file was replaced by a shorter one.
 */
export function fileFeed(path: string, format: FileFormat, follow: boolean): Feed {
  return {
    open(events) {
      const control = { closed: false, resume: null as (() => void) | null, paused: false };
      const gate = async () => {
        while (control.paused && !control.closed)
          await new Promise<void>((resolve) => {
            control.resume = resolve;
          });
      };
      setImmediate(() => {
        const problem = whatIsWrong(path, follow);
        if (problem) return control.closed || events.closed(problem);
        events.opened();
        const reading =
          format === 'parquet' ? readRows(path, events, control, gate) : readLines(path, format, follow, events, control, gate);
        reading.then(
          () => control.closed || events.finished(),
          (error) => control.closed || events.closed(error instanceof Error ? error.message : String(error)),
        );
      });
      return {
        send: () => {},
        close: () => {
          control.closed = true;
          control.resume?.();
        },
        pause: () => {
          control.paused = true;
        },
        resume: () => {
          control.paused = false;
          control.resume?.();
        },
      };
    },
  };
}

function whatIsWrong(path: string, follow: boolean): string | undefined {
  if (!existsSync(path)) return `${path} does not exist`;
  if (!statSync(path).isFile()) return `${path} is no file`;
  if (statSync(path).size === 0 && !follow) return `${path} is empty (0 bytes)`;
  return undefined;
}

interface Control {
  closed: boolean;
  paused: boolean;
}

async function readRows(path: string, events: FeedEvents, control: Control, gate: () => Promise<void>): Promise<void> {
  for await (const rows of readParquet(path)) {
    for (const row of rows) events.frame(JSON.stringify(row));
    await gate();
    if (control.closed) return;
  }
}

async function readLines(
  path: string,
  format: 'csv' | 'jsonl',
  follow: boolean,
  events: FeedEvents,
  control: Control,
  gate: () => Promise<void>,
): Promise<void> {
  const rows = format === 'csv' ? csvRows(events) : jsonRows(events);
  let rest = '';
  for await (const text of appended(path, follow, control)) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) rows.take(line.endsWith('\r') ? line.slice(0, -1) : line);
    if (rest.length > LINE_CHARACTERS_MAX) {
      events.refused('oversized', `a line of more than ${LINE_CHARACTERS_MAX} characters`, rest.slice(0, 512));
      rest = '';
    }
    await new Promise((resolve) => setImmediate(resolve));
    await gate();
    if (control.closed) return;
  }
  if (rest !== '') rows.take(rest);
  await rows.end();
}

/** Takes lines and makes frames of them; `end` resolves when the last one is made. */
interface RowReader {
  take(line: string): void;
  end(): Promise<void>;
}

function jsonRows(events: FeedEvents): RowReader {
  return { take: (line) => line.trim() !== '' && events.frame(line), end: async () => {} };
}

/** The first line names the columns; an unnamed one is called `column0`, `column1`, … */
function csvRows(events: FeedEvents): RowReader {
  let columns: string[] | null = null;
  const parser = csvParser({ relax_quotes: true, relax_column_count: true, skip_empty_lines: true });
  parser.on('readable', () => {
    for (let row: string[] | null = parser.read(); row !== null; row = parser.read()) {
      const values = row;
      if (columns === null) columns = values.map((name, index) => name.trim() || `column${index}`);
      else events.frame(JSON.stringify(Object.fromEntries(columns.map((name, index) => [name, values[index] ?? '']))));
    }
  });
  parser.on('error', (error) => events.refused('schema', `no CSV: ${error.message}`, ''));
  return {
    take: (line) => void parser.write(`${line}\n`),
    end: () =>
      new Promise((resolve) => {
        parser.once('close', resolve);
        parser.end();
      }),
  };
}

/** What is in the file and, with `follow`, what is added to it. */
async function* appended(path: string, follow: boolean, control: Control): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let at = 0;
  for (;;) {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size < at) at = 0;
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES, at);
        if (bytesRead === 0) break;
        at += bytesRead;
        yield decoder.decode(buffer.subarray(0, bytesRead), { stream: true });
        if (control.closed) return;
      }
    } finally {
      await file.close();
    }
    if (!follow || control.closed) return;
    await changed(path);
  }
}

function changed(path: string): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, LOOK_EVERY_MS);
    const watcher = watch(path, done);
    watcher.on('error', done);
    function done() {
      clearTimeout(timer);
      watcher.close();
      resolve();
    }
  });
}
