import { crc32 } from 'node:zlib';
import { type EventBatch, messageOf, type Spool, type ZoneAddress } from '@millrace/kernel';
import { Packr } from 'msgpackr';
import { diskOf, type SpoolDisk, type SpoolFile } from './spool-disk.ts';

const SEGMENT_BYTES = 8 * 1024 * 1024;
/** Length and CRC-32, four bytes each, before every batch. Earlier versions marked a record that was dropped by the inverse of its CRC-32. */
const HEADER_BYTES = 8;
const CRC_AT = 4;
/** First bytes of an encoded batch. */
const BODY_BEGINS = new Packr().pack({ zone: '' }).subarray(0, 2);
/** File with the position of the oldest record that is not dropped. */
export const MARK = 'read-up-to';

interface Segment {
  readonly number: number;
  readonly name: string;
  readonly file: SpoolFile;
  bytes: number;
}

interface Entry {
  readonly segment: Segment;
  readonly at: number;
  readonly bytes: number;
  readonly events: number;
  readonly zone: ZoneAddress;
}

/** Size of some spools together, and its limit, bytes. */
export interface SpoolQuota {
  bytes: number;
  readonly bytesMax: number;
}

/** The end of the records of a spool: a segment, and its size in bytes. */
export interface SpoolEnd {
  readonly segment: number;
  readonly bytes: number;
}

/** Where a spool on a disk ends now; null when it has no segment. */
export function endOf(disk: SpoolDisk): SpoolEnd | null {
  const numbers = disk.list().flatMap((name) => (/^\d+\.spool$/.test(name) ? Number.parseInt(name, 10) : []));
  if (numbers.length === 0) return null;
  const segment = Math.max(...numbers);
  const file = disk.open(segmentName(segment));
  const bytes = file.size();
  file.close();
  return { segment, bytes };
}

/** Called with a message about bytes that the log will not get, and the file next to the segments that has them. */
type OnDamage = (message: string) => void;

/**
 * The overflow of the outbox: segment files of length-prefixed, checksummed batches. Writes are not flushed: they survive a crash of the process, not of
 * the machine. Damaged records are set aside, and later ones are read.
 * @param bytesMax quota, bytes; above it, or when the disk is full, `add` accepts no more batches
 * @param onDamage called for damaged records, and for batches that are given up
 */
export function openSpool(folder: string | SpoolDisk, bytesMax: number, onDamage: OnDamage = () => {}): FileSpool {
  return new FileSpool(typeof folder === 'string' ? diskOf(folder) : folder, { bytes: 0, bytesMax }, onDamage);
}

export class FileSpool implements Omit<Spool, 'begin'> {
  readonly #disk: SpoolDisk;
  readonly #quota: SpoolQuota;
  readonly #packr = new Packr();
  readonly #onDamage: OnDamage;
  #entries: Entry[] = [];
  #first = 0;
  #segments: Segment[] = [];
  /** Number of the newest segment, of this process or an earlier one. Numbers are not used again: the mark may be older than the segments. */
  #newest = 0;

  /** @param end end of what is read; default: everything */
  constructor(disk: SpoolDisk, quota: SpoolQuota, onDamage: OnDamage, end?: SpoolEnd) {
    this.#disk = disk;
    this.#quota = quota;
    this.#onDamage = onDamage;
    this.#readAll(end);
  }

  get batches(): number {
    return this.#entries.length - this.#first;
  }

  add(batches: readonly EventBatch[]): number {
    let taken = 0;
    for (const batch of batches) {
      const body = this.#packr.pack(batch);
      const bytes = HEADER_BYTES + body.length;
      if (this.#quota.bytes + bytes > this.#quota.bytesMax) break;
      const record = Buffer.allocUnsafe(bytes);
      record.writeUInt32BE(body.length, 0);
      record.writeUInt32BE(crc32(body), CRC_AT);
      body.copy(record, HEADER_BYTES);
      const segment = this.#write(record);
      if (!segment) break;
      this.#enter({ segment, at: segment.bytes, bytes, events: batch.events.length, zone: batch.zone });
      segment.bytes += bytes;
      taken++;
    }
    return taken;
  }

  oldest(eventsMax: number): EventBatch[] {
    const found: EventBatch[] = [];
    for (let index = this.#first, events = 0; index < this.#entries.length && events < eventsMax; ) {
      const entry = this.#entries[index] as Entry;
      const body = this.#bodyOf(entry);
      if (body === null) {
        this.#entries.splice(index, 1);
        this.#leave(entry);
        continue;
      }
      found.push(this.#packr.unpack(body) as EventBatch);
      events += entry.events || 1;
      index++;
    }
    return found;
  }

  drop(count: number): void {
    const end = Math.min(this.#first + count, this.#entries.length);
    while (this.#first < end) this.#leave(this.#entries[this.#first++] as Entry);
    this.#advance();
  }

  /** Deletes the segments without an entry, and moves the mark to the oldest one. */
  #advance(): void {
    const next = this.#entries[this.#first];
    if (this.#first > 10_000 || !next) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    if (!next) this.#remove(MARK);
    this.#deleteBefore(next?.segment.number ?? Number.POSITIVE_INFINITY);
    if (!next) return;
    try {
      this.#disk.writeText(MARK, `${next.segment.number} ${next.at}`);
    } catch {
      // With an old mark, some batches are read again, and the log is known to have them.
    }
  }

  giveUp(count: number): void {
    this.#keepAside(this.#entries.slice(this.#first, this.#first + count));
    this.drop(count);
  }

  /** Writes the records of batches that the log will never accept to a file. */
  #keepAside(given: readonly Entry[]): void {
    const [oldest] = given;
    if (!oldest) return;
    const records = given.map(({ segment, at, bytes }) => segment.file.read(at, bytes));
    const kept = this.#keep(`${oldest.segment.name}.given-up-at-${oldest.at}`, Buffer.concat(records));
    this.#onDamage(`${given.length} batches of ${zonesOf(given)} are given up and ${kept}`);
  }

  ofZone(zone: ZoneAddress): EventBatch[] {
    const ofZone = this.#entries.slice(this.#first).filter((entry) => entry.zone === zone);
    return ofZone.map((entry) => {
      const body = this.#bodyOf(entry);
      // The state of the zone would be wrong; the outbox gives the record up.
      if (body === null) throw new Error(`a record of ${zone} in the spool is damaged`);
      return this.#packr.unpack(body) as EventBatch;
    });
  }

  /** Closes its files. It can be opened again. */
  close(): void {
    for (const segment of this.#segments) segment.file.close();
    this.#segments = [];
    for (const entry of this.#entries.slice(this.#first)) this.#leave(entry);
    this.#entries = [];
    this.#first = 0;
  }

  #enter(entry: Entry): void {
    this.#entries.push(entry);
    this.#quota.bytes += entry.bytes;
  }

  #leave({ bytes }: Entry): void {
    this.#quota.bytes -= bytes;
  }

  /** Writes a record at the end of the newest segment. Undefined when the disk is full. */
  #write(record: Buffer): Segment | undefined {
    try {
      const segment = this.#segmentWithRoom();
      segment.file.write(record, segment.bytes);
      return segment;
    } catch {
      return undefined;
    }
  }

  #segmentWithRoom(): Segment {
    const last = this.#segments.at(-1);
    if (last && last.bytes < SEGMENT_BYTES) return last;
    return this.#openSegment(this.#newest + 1);
  }

  #openSegment(number: number): Segment {
    const name = segmentName(number);
    const segment = { number, name, file: this.#disk.open(name), bytes: 0 };
    this.#newest = Math.max(number, this.#newest);
    this.#segments.push(segment);
    return segment;
  }

  /** Deletes the segments with smaller numbers. A file that cannot be removed is read again by a later process; the log has its events. */
  #deleteBefore(number: number): void {
    const drained = this.#segments.filter((segment) => segment.number < number);
    this.#segments = this.#segments.filter((segment) => segment.number >= number);
    for (const { file, name } of drained) {
      file.close();
      this.#remove(name);
    }
  }

  #remove(name: string): void {
    try {
      this.#disk.remove(name);
    } catch (error) {
      this.#onDamage(`${name} in the spool cannot be removed: ${messageOf(error)}`);
    }
  }

  /** The body of a record; null for a damaged one, which is set aside and reported once. */
  #bodyOf({ segment, at, bytes }: Entry): Buffer | null {
    const record = segment.file.read(at, bytes);
    if (isSound(record, 0)) return record.subarray(HEADER_BYTES);
    this.#setAsideDamaged(segment, at, record);
    return null;
  }

  #setAsideDamaged(segment: Segment, at: number, bytes: Buffer): void {
    const aside = `${segment.name}.damaged-at-${at}`;
    if (this.#disk.list().includes(aside)) return;
    const kept = this.#keep(aside, bytes);
    this.#onDamage(`${bytes.length} bytes at byte ${at} of ${segment.name} in the spool are damaged and ${kept}`);
  }

  /** Writes bytes to a file next to the segments. @returns the outcome, for a message */
  #keep(name: string, bytes: Buffer): string {
    try {
      const file = this.#disk.open(name);
      try {
        file.write(bytes, 0);
      } finally {
        file.close();
      }
      return `were set aside as ${name}`;
    } catch (error) {
      return `could not be set aside: ${messageOf(error)}`;
    }
  }

  /** Reads the records of an earlier process from its mark on. Repeats are harmless: the log ignores them. */
  #readAll(end: SpoolEnd = { segment: Number.POSITIVE_INFINITY, bytes: 0 }): void {
    const numbers = this.#disk
      .list()
      .filter((name) => /^\d+\.spool$/.test(name))
      .map((name) => Number.parseInt(name, 10))
      .filter((number) => number <= end.segment)
      .sort((a, b) => a - b);
    const [markSegment = 0, markAt = 0] = this.#disk.readText(MARK)?.split(' ').map(Number) ?? [];
    this.#newest = markSegment;
    for (const number of numbers) {
      const segment = this.#openSegment(number);
      const size = number === end.segment ? Math.min(end.bytes, segment.file.size()) : segment.file.size();
      const content = segment.file.read(0, size);
      const isLeft = (end: number) => number > markSegment || (number === markSegment && end > markAt);
      for (let at = 0; at < size; ) {
        const isKept = isSound(content, at);
        if (!isKept && !isDropped(content, at)) {
          const next = nextSound(content, at + 1);
          const damaged = content.subarray(at, next);
          // A file that grew before it was written ends with zeros.
          if (isLeft(next) && damaged.some((byte) => byte !== 0)) this.#setAsideDamaged(segment, at, damaged);
          at = next;
          continue;
        }
        const bytes = HEADER_BYTES + content.readUInt32BE(at);
        if (isKept && isLeft(at + bytes)) {
          const batch = this.#packr.unpack(content.subarray(at + HEADER_BYTES, at + bytes)) as EventBatch;
          this.#enter({ segment, at, bytes, events: batch.events.length, zone: batch.zone });
        }
        at += bytes;
        segment.bytes = at;
      }
    }
  }
}

function segmentName(number: number): string {
  return `${String(number).padStart(8, '0')}.spool`;
}

function zonesOf(entries: readonly Entry[]): string {
  return [...new Set(entries.map(({ zone }) => zone))].join(', ');
}

/** Offset of the next sound record after a damaged one, whose length may be wrong. The end of the content if none follows. */
function nextSound(content: Buffer, from: number): number {
  for (let body = content.indexOf(BODY_BEGINS, from + HEADER_BYTES); body >= 0; body = content.indexOf(BODY_BEGINS, body + 1))
    if (isSound(content, body - HEADER_BYTES)) return body - HEADER_BYTES;
  return content.length;
}

/** Whether a complete record with a valid checksum is at an offset. */
function isSound(content: Buffer, at: number): boolean {
  const body = bodyAt(content, at);
  return body !== null && crc32(body) === content.readUInt32BE(at + CRC_AT);
}

/** Whether a complete record that an earlier version dropped is at an offset. */
function isDropped(content: Buffer, at: number): boolean {
  const body = bodyAt(content, at);
  return body !== null && crc32(body) === inverseOf(content.subarray(at + CRC_AT, at + HEADER_BYTES)).readUInt32BE(0);
}

/** The body of the record at an offset; null when it is not complete. Zeros, at the end of a file that grew before it was written, are not a record. */
function bodyAt(content: Buffer, at: number): Buffer | null {
  if (at + HEADER_BYTES > content.length) return null;
  const length = content.readUInt32BE(at);
  const body = content.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
  return length > 0 && body.length === length ? body : null;
}

function inverseOf(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => ~byte));
}
