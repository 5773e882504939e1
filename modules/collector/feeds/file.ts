import { createHash } from 'node:crypto';
import { existsSync, statSync, watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { PreciseTime } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import { readParquet, sortTexts } from '@millrace/series';
import { parse as csvParser } from 'csv-parse';
import { parse as parseCsv } from 'csv-parse/sync';
import type { Feed, FeedEvents } from '../source.ts';

export type FileFormat = 'csv' | 'jsonl' | 'parquet';

const READ_BYTES = 64 * 1024;
const LINE_CHARACTERS_MAX = 1024 * 1024;
/** File systems that tell of no change are looked at this often in follow mode. */
const LOOK_EVERY_MS = 1_000;
/** A file that is followed and begins differently has been written anew. */
const BEGINNING_BYTES = 256;
const CSV = { relax_quotes: true, relax_column_count: true, skip_empty_lines: true } as const;

/** The format that a file’s ending tells; undefined when it tells none. */
export function formatOf(path: string): FileFormat | undefined {
  if (/\.csv$/i.test(path)) return 'csv';
  if (/\.(jsonl|ndjson)$/i.test(path)) return 'jsonl';
  return /\.parquet$/i.test(path) ? 'parquet' : undefined;
}

export interface FileOptions {
  readonly path: string;
  readonly format: FileFormat;
  /** Whether lines that are appended later come too. */
  readonly follow: boolean;
  /** The time of a frame; null when it has none. */
  readonly timeOf: (frame: string) => PreciseTime | null;
}

/**
 * Rows of a file, each a JSON frame (CSV rows become objects by column name), in order of time: a file that is not is sorted first. With `follow`, rows come
 * in the order of the file, and lines that are appended later come too, also of a file that takes its place.
 */
export function fileFeed(options: FileOptions): Feed {
  return {
    open(events) {
      const control = new ReadingControl();
      setImmediate(() => {
        const problem = whatIsWrong(options);
        if (problem) return control.closed || events.closed(problem);
        events.opened();
        const reading = options.follow ? followFile(options, events, control) : readFile(options, events, control);
        reading.then(
          () => control.closed || events.finished(),
          (error) => control.closed || events.closed(messageOf(error)),
        );
      });
      return {
        send: () => {},
        close: () => control.close(),
        pause: () => control.pause(),
        resume: () => control.resume(),
      };
    },
  };
}

function whatIsWrong({ path, format, follow }: FileOptions): string | undefined {
  if (!existsSync(path)) return `${path} does not exist`;
  if (!statSync(path).isFile()) return `${path} is no file`;
  if (statSync(path).size === 0 && !follow) return `${path} is empty (0 bytes)`;
  if (follow && format === 'parquet') return `${path} cannot be followed: rows are never added to a Parquet file. Leave "follow" out.`;
  return undefined;
}

/** What the supervisor asks of a file that is being read. */
class ReadingControl {
  closed = false;
  #paused = false;
  #wake = () => {};

  /** Resolves when more may be read, or nothing more is to be. */
  async mayGoOn(): Promise<void> {
    while (this.#paused && !this.closed)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wake();
  }

  close(): void {
    this.closed = true;
    this.#wake();
  }
}

/** Where the rows of a file go. */
type RowSink = Pick<FeedEvents, 'frame' | 'refused'>;

// A file that is whole

async function readFile(options: FileOptions, events: FeedEvents, control: ReadingControl): Promise<void> {
  const { identity, rows, isSorted } = await examine(options, control);
  if (control.closed) return;
  // Rows that are added to a file in order follow those it had; in one that is sorted here they may come anywhere.
  if (isSorted) events.file(identity);
  else events.file(`${identity}-${rows}`, identity);
  const refused: FeedEvents['refused'] = (...args) => events.refused(...args);
  const frames = isSorted ? framesOf(options, refused, control) : sortTexts(timed(framesOf(options, refused, control), options.timeOf));
  for await (const batch of frames) {
    for (const frame of batch) events.frame(frame);
    await new Promise((resolve) => setImmediate(resolve));
    await control.mayGoOn();
    if (control.closed) return;
  }
}

/** Reads a file once through: what tells it from others, how many rows it has, and whether their times rise. */
async function examine(options: FileOptions, control: ReadingControl): Promise<{ identity: string; rows: number; isSorted: boolean }> {
  let identity = '';
  let newest: PreciseTime | null = null;
  let isSorted = true;
  let rows = 0;
  for await (const batch of framesOf(options, () => {}, control))
    for (const frame of batch) {
      if (rows++ === 0) identity = identityOf(frame);
      const time = options.timeOf(frame);
      if (!time) continue;
      if (newest && (time.ms < newest.ms || (time.ms === newest.ms && time.nanos < newest.nanos))) isSorted = false;
      newest = time;
    }
  return { identity, rows, isSorted };
}

/** What tells a file from others, also when rows have been added to it: its first row, with the names of its columns. */
function identityOf(firstFrame: string): string {
  return createHash('sha256').update(firstFrame).digest('hex').slice(0, 16);
}

async function* timed(frames: AsyncIterable<readonly string[]>, timeOf: FileOptions['timeOf']) {
  for await (const batch of frames)
    yield batch.map((text) => {
      const time = timeOf(text);
      return { text, first: time?.ms ?? Number.NEGATIVE_INFINITY, second: time?.nanos ?? 0 };
    });
}

/** The frames of a file as it is now, some at a time. */
async function* framesOf(
  { path, format }: FileOptions,
  refused: FeedEvents['refused'],
  control: ReadingControl,
): AsyncGenerator<readonly string[]> {
  if (format === 'parquet') {
    for await (const rows of readParquet(path)) yield rows.map((row) => JSON.stringify(row));
    return;
  }
  let frames: string[] = [];
  const sink: RowSink = { frame: (frame) => void frames.push(frame), refused };
  const lines = new Lines(sink);
  const rows = format === 'csv' ? csvRows(sink) : jsonRows(sink);
  const file = await open(path, 'r');
  try {
    for (let at = 0; !control.closed; ) {
      const text = await lines.read(file, at);
      if (text === null) break;
      at += text.bytes;
      for (const line of text.lines) rows.take(line);
      // Rows of CSV come when they like, also while these are being used.
      const ready = frames;
      frames = [];
      yield ready;
    }
  } finally {
    await file.close();
  }
  const rest = lines.rest();
  if (rest !== '') rows.take(rest);
  await rows.end();
  yield frames;
}

// A file that grows

/** Reads what is appended, until it is closed. A file that was renamed is read to its end before the one that has its name now; one that was written anew is read anew. */
async function followFile({ path, format }: FileOptions, events: FeedEvents, control: ReadingControl): Promise<void> {
  while (!control.closed) {
    const file = await open(path, 'r');
    try {
      await followOne(file, path, format, events, control);
    } finally {
      await file.close();
    }
    // Between a rename and the new file there may be none for a moment.
    while (!control.closed && !existsSync(path)) await changed(path);
  }
}

/** Resolves when there is another file behind the path, or this one was written anew. */
async function followOne(file: FileHandle, path: string, format: FileFormat, events: FeedEvents, control: ReadingControl): Promise<void> {
  let isFirst = true;
  const sink: RowSink = {
    frame: (frame) => {
      if (isFirst) events.file(identityOf(frame));
      isFirst = false;
      events.frame(frame);
    },
    refused: (...args) => events.refused(...args),
  };
  const lines = new Lines(sink);
  const rows = format === 'csv' ? csvRowsAtOnce(sink) : jsonRows(sink);
  let at = 0;
  let beginning: Buffer = Buffer.alloc(0);
  for (;;) {
    // Asked before reading: what is written to it until then is read.
    const hasAnother = await isAnother(file, path);
    for (;;) {
      const text = await lines.read(file, at);
      if (text === null) break;
      at += text.bytes;
      for (const line of text.lines) rows.take(line);
      await control.mayGoOn();
      if (control.closed) return;
    }
    if (beginning.length < BEGINNING_BYTES) beginning = await beginningOf(file, Math.min(at, BEGINNING_BYTES));
    if (hasAnother) {
      const rest = lines.rest();
      if (rest !== '') rows.take(rest);
      return rows.end();
    }
    if (control.closed) return;
    await changed(path);
    const { size } = await file.stat();
    if (size < at || !beginning.equals(await beginningOf(file, beginning.length))) return;
  }
}

async function beginningOf(file: FileHandle, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
  return buffer.subarray(0, bytesRead);
}

/** Whether the path leads to another file than the one that is open. */
async function isAnother(file: FileHandle, path: string): Promise<boolean> {
  const [mine, there] = await Promise.all([file.stat(), stat(path).catch(() => null)]);
  return there !== null && (there.ino !== mine.ino || there.dev !== mine.dev);
}

function changed(path: string): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, LOOK_EVERY_MS);
    let close = () => {};
    function done() {
      clearTimeout(timer);
      close();
      resolve();
    }
    if (!existsSync(path)) return;
    const watcher = watch(path, done);
    close = () => watcher.close();
    watcher.on('error', done);
  });
}

// Lines and rows

/** Makes lines of bytes. */
class Lines {
  readonly #decoder = new TextDecoder();
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  readonly #sink: RowSink;
  #rest = '';

  constructor(sink: RowSink) {
    this.#sink = sink;
  }

  /** The lines that end in the next bytes of a file; null when there are none. */
  async read(file: FileHandle, at: number): Promise<{ bytes: number; lines: readonly string[] } | null> {
    const { bytesRead } = await file.read(this.#buffer, 0, READ_BYTES, at);
    if (bytesRead === 0) return null;
    const lines = (this.#rest + this.#decoder.decode(this.#buffer.subarray(0, bytesRead), { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LINE_CHARACTERS_MAX) {
      this.#sink.refused('oversized', `a line of more than ${LINE_CHARACTERS_MAX} characters`, this.#rest.slice(0, 512));
      this.#rest = '';
    }
    return { bytes: bytesRead, lines: lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line)) };
  }

  /** What follows the last line’s end. */
  rest(): string {
    return this.#rest;
  }
}

/** Takes lines and makes frames of them; `end` resolves when the last one is made. */
interface RowReader {
  take(line: string): void;
  end(): Promise<void>;
}

function jsonRows({ frame }: RowSink): RowReader {
  return { take: (line) => void (line.trim() !== '' && frame(line)), end: async () => {} };
}

/** Rows of CSV, as fast as can be: the newest is held back until another line comes. */
function csvRows(sink: RowSink): RowReader {
  const row = csvRow(sink);
  const parser = csvParser(CSV);
  parser.on('readable', () => {
    for (let values: string[] | null = parser.read(); values !== null; values = parser.read()) row(values);
  });
  parser.on('error', (error) => sink.refused('schema', `no CSV: ${error.message}`, ''));
  return {
    take: (line) => void parser.write(`${line}\n`),
    end: () =>
      new Promise((resolve) => {
        parser.once('close', resolve);
        parser.end();
      }),
  };
}

/** Rows of CSV, each as soon as it is whole. */
function csvRowsAtOnce(sink: RowSink): RowReader {
  const row = csvRow(sink);
  let begun = '';
  const take = (line: string) => {
    begun = begun === '' ? line : `${begun}\n${line}`;
    // A quoted field may go over several lines.
    if ((begun.match(/"/g)?.length ?? 0) % 2 === 1 && begun.length <= LINE_CHARACTERS_MAX) return;
    const whole = begun;
    begun = '';
    try {
      for (const values of parseCsv(whole, CSV) as string[][]) row(values);
    } catch (error) {
      sink.refused('schema', `no CSV: ${messageOf(error)}`, whole.slice(0, 512));
    }
  };
  return { take, end: async () => {} };
}

/** The first row names the columns; an unnamed one is called `column0`, `column1`, … */
function csvRow({ frame }: RowSink): (values: readonly string[]) => void {
  let columns: string[] | null = null;
  return (values) => {
    if (columns === null) columns = values.map((name, index) => name.trim() || `column${index}`);
    else frame(JSON.stringify(Object.fromEntries(columns.map((name, index) => [name, values[index] ?? '']))));
  };
}
