import { crc32 } from 'node:zlib';
import type { EventBatch, Spool, ZoneAddress } from '@millrace/kernel';
import { Packr } from 'msgpackr';
import { diskOf, type SpoolDisk, type SpoolFile } from './spool-disk.ts';

const SEGMENT_BYTES = 8 * 1024 * 1024;
/** Length and CRC-32, four bytes each, before every batch. */
const HEADER_BYTES = 8;
/** Says which record is the oldest that counts. */
const MARK = 'read-up-to';

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

/**
 * The outbox’s overflow: segment files of length-prefixed, checksummed batches. Writes go to the operating system and
 * are not waited for on the disk, so they survive a crash of the process. A record that was torn off ends its segment.
 * @param bytesMax quota; beyond it, or when the disk is full, `add` takes no more
 */
export function openSpool(folder: string | SpoolDisk, bytesMax: number): FileSpool {
  return new FileSpool(typeof folder === 'string' ? diskOf(folder) : folder, bytesMax);
}

export class FileSpool implements Spool {
  readonly bytesMax: number;
  readonly #disk: SpoolDisk;
  readonly #packr = new Packr();
  #entries: Entry[] = [];
  #first = 0;
  #bytes = 0;
  #segments: Segment[] = [];
  /** Of each zone that has some. */
  readonly #events = new Map<ZoneAddress, number>();

  constructor(disk: SpoolDisk, bytesMax: number) {
    this.#disk = disk;
    this.bytesMax = bytesMax;
    this.#readAll();
  }

  get batches(): number {
    return this.#entries.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(batches: readonly EventBatch[]): number {
    let taken = 0;
    for (const batch of batches) {
      const body = this.#packr.pack(batch);
      const bytes = HEADER_BYTES + body.length;
      if (this.#bytes + bytes > this.bytesMax) break;
      const record = Buffer.allocUnsafe(bytes);
      record.writeUInt32BE(body.length, 0);
      record.writeUInt32BE(crc32(body), 4);
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
    for (let index = this.#first, events = 0; index < this.#entries.length && events < eventsMax; index++) {
      const entry = this.#entries[index] as Entry;
      found.push(this.#read(entry));
      events += entry.events || 1;
    }
    return found;
  }

  drop(count: number): void {
    const end = Math.min(this.#first + count, this.#entries.length);
    for (; this.#first < end; this.#first++) this.#leave(this.#entries[this.#first] as Entry);
    const oldest = this.#entries[this.#first];
    if (!oldest) {
      for (const segment of this.#segments) this.#delete(segment);
      this.#segments = [];
      this.#entries = [];
      this.#first = 0;
      this.#disk.remove(MARK);
      return;
    }
    for (const segment of this.#segments) if (segment.number < oldest.segment.number) this.#delete(segment);
    this.#segments = this.#segments.filter((segment) => segment.number >= oldest.segment.number);
    if (this.#first > 10_000) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    try {
      this.#disk.writeText(MARK, `${oldest.segment.number} ${oldest.at}`);
    } catch {
      // An old mark only means that some of it is offered to the log once more, which knows repeats.
    }
  }

  ofZone(zone: ZoneAddress): EventBatch[] {
    return this.#entries
      .slice(this.#first)
      .filter((entry) => entry.zone === zone)
      .map((entry) => this.#read(entry));
  }

  eventsOf(zone: ZoneAddress): number {
    return this.#events.get(zone) ?? 0;
  }

  close(): void {
    for (const segment of this.#segments) segment.file.close();
    this.#segments = [];
  }

  #enter(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
    this.#events.set(entry.zone, this.eventsOf(entry.zone) + entry.events);
  }

  #leave({ zone, bytes, events }: Entry): void {
    this.#bytes -= bytes;
    const left = this.eventsOf(zone) - events;
    if (left > 0) this.#events.set(zone, left);
    else this.#events.delete(zone);
  }

  /** Where the record stands now; undefined when the disk has no room for it. */
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
    return this.#openSegment((last?.number ?? 0) + 1);
  }

  #openSegment(number: number): Segment {
    const name = `${String(number).padStart(8, '0')}.spool`;
    const segment = { number, name, file: this.#disk.open(name), bytes: 0 };
    this.#segments.push(segment);
    return segment;
  }

  #delete(segment: Segment): void {
    segment.file.close();
    this.#disk.remove(segment.name);
  }

  #read(entry: Entry): EventBatch {
    return this.#packr.unpack(entry.segment.file.read(entry.at + HEADER_BYTES, entry.bytes - HEADER_BYTES));
  }

  /** What an earlier process left behind, from its mark on. A repeat does no harm: the log knows what it has. */
  #readAll(): void {
    const numbers = this.#disk
      .list()
      .filter((name) => name.endsWith('.spool'))
      .map((name) => Number.parseInt(name, 10))
      .sort((a, b) => a - b);
    const [markSegment = 0, markAt = 0] = this.#disk.readText(MARK)?.split(' ').map(Number) ?? [];
    for (const number of numbers) {
      const segment = this.#openSegment(number);
      const size = segment.file.size();
      const content = segment.file.read(0, size);
      for (let at = 0; at + HEADER_BYTES <= size; ) {
        const length = content.readUInt32BE(at);
        const body = content.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
        // Zeros, as a file that grew before it was written has them, would pass for an empty record with a sound checksum.
        if (length === 0 || body.length < length || crc32(body) !== content.readUInt32BE(at + 4)) break;
        const bytes = HEADER_BYTES + length;
        segment.bytes = at + bytes;
        if (number > markSegment || (number === markSegment && at >= markAt)) {
          const batch = this.#packr.unpack(body) as EventBatch;
          this.#enter({ segment, at, bytes, events: batch.events.length, zone: batch.zone });
        }
        at += bytes;
      }
    }
  }
}
