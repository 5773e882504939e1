import { createHash } from 'node:crypto';
import { existsSync, statSync, watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { PreciseTime } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import { readParquet, sortTexts } from '@millrace/series';
import type { Feed, FeedEvents } from '../source.ts';
import { csvRows, csvRowsAtOnce, type RowReader, type RowSink } from './csv-rows.ts';

export type FileFormat = 'csv' | 'jsonl' | 'parquet';

const READ_BYTES = 64 * 1024;
const LINE_CHARACTERS_MAX = 1024 * 1024;
/** Polling interval of followed files, ms, for file systems without change notifications. */
const LOOK_EVERY_MS = 1_000;
/** Number of first bytes that identify a followed file. When they change, the file was rewritten. */
const BEGINNING_BYTES = 256;

/** Format by the file extension; undefined for an unknown one. */
export function formatOf(path: string): FileFormat | undefined {
  if (/\.csv$/i.test(path)) return 'csv';
  if (/\.(jsonl|ndjson)$/i.test(path)) return 'jsonl';
  return /\.parquet$/i.test(path) ? 'parquet' : undefined;
}

export interface FileOptions {
  readonly path: string;
  readonly format: FileFormat;
  /** Whether to deliver lines that are appended later. */
  readonly follow: boolean;
  /** Time of a frame; null when it has none. */
  readonly timeOf: (frame: string) => PreciseTime | null;
}

/**
 * Rows of a file, each as a JSON frame (CSV rows become objects by column name), in order of time; an unsorted file is sorted first. With
 * `follow`, rows are delivered in the order of the file, and lines that are appended later as well, also those of a file that replaces it.
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

/** Pauses and ends the reading of a file for its supervisor. */
class ReadingControl {
  closed = false;
  #paused = false;
  #wake = () => {};

  /** Resolves when reading may continue, or is closed. */
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

// A file that is whole

async function readFile(options: FileOptions, events: FeedEvents, control: ReadingControl): Promise<void> {
  const { identity, rows, isSorted } = await examine(options, control);
  if (control.closed) return;
  // Rows added to a sorted file follow the earlier ones. In a file that is sorted here they may be at any place.
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

/** Reads a whole file: its identity, its number of rows, and whether their times rise. */
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

/** Identity of a file that stays when rows are added: its first row with its column names. */
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

/** The frames of the present content of a file, in chunks. */
async function* framesOf(
  { path, format }: FileOptions,
  refused: FeedEvents['refused'],
  control: ReadingControl,
): AsyncGenerator<readonly string[]> {
  if (format === 'parquet') {
    for await (const rows of readParquet(path)) {
      if (control.closed) return;
      yield rows.map((row) => JSON.stringify(row));
    }
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
      at += text.raw.length;
      for (const line of text.lines) rows.take(line);
      // The CSV parser emits rows at any time, also while these are processed.
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

/** Reads appended content until it is closed. A renamed file is read to its end before the new file of that name. A rewritten file is read from its start. */
async function followFile({ path, format }: FileOptions, events: FeedEvents, control: ReadingControl): Promise<void> {
  while (!control.closed) {
    const file = await open(path, 'r');
    try {
      await followOne(file, path, format, events, control);
    } finally {
      await file.close();
    }
    // Between a rename and the creation of the new file there is none.
    while (!control.closed && !existsSync(path)) await changed(path);
  }
}

/** Resolves when the path names another file, or the file was rewritten. */
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
    // Checked before reading, so that all that was written to the old file is read.
    const hasAnother = await isAnother(file, path);
    for (;;) {
      const text = await lines.read(file, at);
      if (text === null) break;
      // What was read may be of a file that was rewritten meanwhile.
      if (await isRewritten(file, beginning)) return;
      if (beginning.length < BEGINNING_BYTES) beginning = Buffer.concat([beginning, text.raw]).subarray(0, BEGINNING_BYTES);
      at += text.raw.length;
      for (const line of text.lines) rows.take(line);
      await control.mayGoOn();
      if (control.closed) return;
    }
    if (hasAnother) {
      const rest = lines.rest();
      if (rest !== '') rows.take(rest);
      return rows.end();
    }
    if (control.closed) return;
    await changed(path);
    const { size } = await file.stat();
    if (size < at || (await isRewritten(file, beginning))) return;
  }
}

/** Whether a file does not begin any more as it did. */
async function isRewritten(file: FileHandle, beginning: Buffer): Promise<boolean> {
  if (beginning.length === 0) return false;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(beginning.length), 0, beginning.length, 0);
  return !beginning.equals(buffer.subarray(0, bytesRead));
}

/** Whether the path names another file than the open one. */
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

// Lines

/** Splits bytes into lines. A line that is too long is refused once; its rest is skipped. */
class Lines {
  readonly #decoder = new TextDecoder();
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  readonly #sink: RowSink;
  #rest = '';
  /** Whether the line whose end comes next was refused. */
  #isSkipping = false;

  constructor(sink: RowSink) {
    this.#sink = sink;
  }

  /** The lines that end in the next bytes, and these bytes, until the next call; null at the end of the file. */
  async read(file: FileHandle, at: number): Promise<{ raw: Buffer; lines: readonly string[] } | null> {
    const { bytesRead } = await file.read(this.#buffer, 0, READ_BYTES, at);
    if (bytesRead === 0) return null;
    const lines = (this.#rest + this.#decoder.decode(this.#buffer.subarray(0, bytesRead), { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#isSkipping && lines.length > 0) {
      lines.shift();
      this.#isSkipping = false;
    }
    if (this.#isSkipping) this.#rest = '';
    else if (this.#rest.length > LINE_CHARACTERS_MAX) {
      this.#sink.refused('oversized', `a line of more than ${LINE_CHARACTERS_MAX} characters`, this.#rest.slice(0, 512));
      this.#rest = '';
      this.#isSkipping = true;
    }
    return { raw: this.#buffer.subarray(0, bytesRead), lines: lines.map(withoutReturn) };
  }

  /** Bytes after the end of the last line. */
  rest(): string {
    return withoutReturn(this.#rest);
  }
}

/** A line without the carriage return of its CRLF, of which the file may lack the line feed. */
function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

function jsonRows({ frame }: RowSink): RowReader {
  return { take: (line) => void (line.trim() !== '' && frame(line)), end: async () => {} };
}
