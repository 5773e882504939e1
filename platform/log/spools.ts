import type { EventBatch, Spool, Spools, ZoneAddress } from '@millrace/kernel';
import { endOf, FileSpool, MARK, type SpoolEnd, type SpoolQuota } from './spool.ts';
import { diskOf, partOf, type SpoolDisk } from './spool-disk.ts';
import { SpoolReserve } from './spool-reserve.ts';

/** File that names the owner whose spool comes before that of an owner. */
const AFTER = 'after';
const SEGMENT = '.spool';
/** End of the names of segments that are kept for an operator. */
const ABANDONED = '.abandoned';

export interface FileSpoolsOptions {
  /** Quota of all shards together, bytes; above it, or when the disk is full, no more batches are accepted. */
  readonly bytesMax: number;
  /** Called with a message about batches that the log will not get, and the files that have them. */
  readonly onDamage?: (message: string) => void;
  /** Whether a host claims the shards of an earlier run at its start, to write what that has left. Otherwise their next owners do. */
  readonly writesLeft?: boolean;
}

/**
 * The spools of a topic on a disk: for each owner of a shard its own files, `shard-<shard>.<owner>.<number>.spool`. A new owner writes to files of its own, and
 * reads those of its predecessor: processes that follow each other never write to one file, also when the earlier one still runs.
 */
export function openSpools(folder: string | SpoolDisk, options: FileSpoolsOptions): FileSpools {
  return new FileSpools(typeof folder === 'string' ? diskOf(folder) : folder, options);
}

export class FileSpools implements Spools {
  readonly #disk: SpoolDisk;
  readonly #reserve: SpoolReserve;
  readonly #quota: SpoolQuota;
  readonly #onDamage: (message: string) => void;
  readonly #writesLeft: boolean;
  /** Spools that are open, by shard and owner. */
  readonly #opened = new Map<number, Map<string, OwnerSpool>>();
  /** The files before the newest claim of each shard, and the owner that it names. */
  readonly #earlier = new Map<number, { readonly owner: string; readonly names: ReadonlySet<string> }>();

  constructor(disk: SpoolDisk, { bytesMax, onDamage = () => {}, writesLeft = false }: FileSpoolsOptions) {
    this.#disk = disk;
    this.#reserve = new SpoolReserve(disk);
    this.#quota = { bytes: 0, bytesMax };
    this.#onDamage = onDamage;
    this.#writesLeft = writesLeft;
  }

  get bytes(): number {
    return this.#quota.bytes;
  }

  get bytesMax(): number {
    return this.#quota.bytesMax;
  }

  open(shard: number, owner: string, predecessor: string): Spool {
    const before = this.#leftBy(shard, predecessor);
    // A full disk must not prevent the claim: the log may have room.
    if (before) this.#reserve.write(nameOf(shard, owner, AFTER), before.place);
    this.#earlier.set(shard, { owner, names: new Set(this.#disk.list()) });
    const spool = new OwnerSpool(this.#partsOf(shard, owner), before?.spool ?? null);
    const ofShard = this.#opened.get(shard) ?? new Map<string, OwnerSpool>();
    this.#opened.set(shard, ofShard.set(owner, spool));
    return spool;
  }

  close(shard: number): void {
    for (const spool of this.#opened.get(shard)?.values() ?? []) spool.close();
    this.#opened.delete(shard);
    this.#earlier.delete(shard);
  }

  left(): number[] {
    if (!this.#writesLeft) return [];
    return [...ownersIn(this.#disk).keys()];
  }

  /** What an owner and those before it have stored until now, and the text that names it; null without any. */
  #leftBy(shard: number, owner: string): { readonly spool: OwnerSpool; readonly place: string } | null {
    const opened = this.#opened.get(shard)?.get(owner);
    // Of this process: its owner may add batches until the claim has taken effect.
    if (opened) return { spool: opened, place: owner };
    const part = partOf(this.#disk, nameOf(shard, owner, ''));
    const end = endOf(part);
    const spool = this.#storedBy(shard, owner, end);
    // Of another process, which may still run: what it adds from now on is not part of the log of its successor.
    return spool && { spool, place: end ? `${owner} ${end.segment} ${end.bytes}` : `${owner} 0 0` };
  }

  /** What an owner of another process has stored up to an end, and those before it. */
  #storedBy(shard: number, owner: string, end: SpoolEnd | null): OwnerSpool | null {
    const place = this.#disk.readText(nameOf(shard, owner, AFTER)) ?? '';
    const [name = '', segment, bytes] = place.trim().split(' ');
    const upTo = segment === undefined ? undefined : { segment: Number(segment), bytes: Number(bytes) };
    const before = name === '' ? null : this.#storedBy(shard, name, upTo ?? endOf(partOf(this.#disk, nameOf(shard, name, ''))));
    return end || before ? new OwnerSpool(this.#partsOf(shard, owner), before, end) : null;
  }

  #partsOf(shard: number, owner: string): OwnerParts {
    return {
      owner,
      open: (end) => new FileSpool(partOf(this.#disk, nameOf(shard, owner, '')), this.#quota, this.#onDamage, end),
      forgetBefore: () => {
        try {
          this.#disk.remove(nameOf(shard, owner, AFTER));
        } catch {
          // It names an owner that has left nothing.
        }
        this.#reserve.fill();
      },
      tidy: (lineage) => this.#tidy(shard, owner, lineage),
    };
  }

  /**
   * Sets aside what owners have left that others have replaced, and forgets claims that took no effect: the log will never accept their events. Leaves what
   * is newer than the claim: it may be of an owner that follows, if this process is slow.
   */
  #tidy(shard: number, newOwner: string, lineage: readonly string[]): void {
    const earlier = this.#earlier.get(shard);
    if (earlier?.owner !== newOwner) return;
    const abandoned = new Set<string>();
    for (const name of this.#disk.list()) {
      if (!earlier.names.has(name)) continue;
      const owner = shardIn(name) === shard ? ownerIn(name) : undefined;
      if (owner === undefined || lineage.includes(owner) || name.endsWith(ABANDONED)) continue;
      if (name.endsWith(SEGMENT)) {
        this.#disk.rename(name, `${name}${ABANDONED}`);
        abandoned.add(owner);
      } else if (name.endsWith(`.${AFTER}`) || name.endsWith(`.${MARK}`)) this.#disk.remove(name);
    }
    for (const owner of abandoned)
      this.#onDamage(
        `the spool of an earlier owner of shard ${shard} is not part of its log, because another host has owned the shard since; ` +
          `its files are kept as ${nameOf(shard, owner, `*${SEGMENT}${ABANDONED}`)}`,
      );
  }
}

interface OwnerParts {
  readonly owner: string;
  /** Opens the files of the owner, up to an end. */
  open(end?: SpoolEnd): FileSpool;
  /** Forgets which owner was before. */
  forgetBefore(): void;
  /** Sets the files of all other earlier owners aside. @throws when the disk cannot be changed */
  tidy(lineage: readonly string[]): void;
}

/** What the owners of a shard have left, up to one owner. */
class OwnerSpool implements Spool {
  readonly #parts: OwnerParts;
  #before: OwnerSpool | null;
  /** Where its files end, if they were written by another process; null without any. */
  readonly #end: SpoolEnd | null;
  #files: FileSpool | null = null;

  constructor(parts: OwnerParts, before: OwnerSpool | null, end: SpoolEnd | null = null) {
    this.#parts = parts;
    this.#before = before;
    this.#end = end;
  }

  begin(): void {
    this.#before?.load();
    this.#advance();
    const lineage = this.#lineage;
    try {
      this.#parts.tidy(lineage);
    } catch {
      // The next owner does it.
    }
  }

  /** Reads what other processes have stored. */
  load(): void {
    this.#before?.load();
    if (this.#end) this.#files ??= this.#parts.open(this.#end);
  }

  get batches(): number {
    return (this.#before?.batches ?? 0) + (this.#files?.batches ?? 0);
  }

  add(batches: readonly EventBatch[]): number {
    this.#files ??= this.#parts.open();
    return this.#files.add(batches);
  }

  oldest(eventsMax: number): EventBatch[] {
    const ofBefore = this.#before?.oldest(eventsMax) ?? [];
    if (ofBefore.length > 0) return ofBefore;
    // What was left there is damaged.
    this.#advance();
    return this.#files?.oldest(eventsMax) ?? [];
  }

  drop(count: number): void {
    this.#first?.drop(count);
    this.#advance();
  }

  giveUp(count: number): void {
    this.#first?.giveUp(count);
    this.#advance();
  }

  ofZone(zone: ZoneAddress): EventBatch[] {
    return [...(this.#before?.ofZone(zone) ?? []), ...(this.#files?.ofZone(zone) ?? [])];
  }

  close(): void {
    this.#before?.close();
    this.#files?.close();
    this.#files = null;
  }

  /** What has the oldest batches. */
  get #first(): Pick<Spool, 'drop' | 'giveUp'> | null {
    return this.#before && this.#before.batches > 0 ? this.#before : this.#files;
  }

  get #lineage(): string[] {
    return [this.#parts.owner, ...(this.#before ? this.#before.#lineage : [])];
  }

  /** Forgets the owner before, if nothing of it is left, and removes its empty files. */
  #advance(): void {
    if (!this.#before || this.#before.batches > 0) return;
    this.#before.drop(0);
    this.#before.close();
    this.#before = null;
    this.#parts.forgetBefore();
  }
}

function nameOf(shard: number, owner: string, rest: string): string {
  return `shard-${shard}.${owner}.${rest}`;
}

/** The prefixes of the files of each owner with batches, by shard. */
export function ownersIn(disk: Pick<SpoolDisk, 'list'>): Map<number, string[]> {
  const owners = new Map<number, Set<string>>();
  for (const name of disk.list()) {
    const shard = name.endsWith(SEGMENT) ? shardIn(name) : undefined;
    if (shard === undefined) continue;
    owners.set(shard, (owners.get(shard) ?? new Set()).add(nameOf(shard, ownerIn(name) ?? '', '')));
  }
  return new Map([...owners].map(([shard, prefixes]) => [shard, [...prefixes]]));
}

function shardIn(name: string): number | undefined {
  const shard = /^shard-(\d+)\.[^.]+\./.exec(name)?.[1];
  return shard === undefined ? undefined : Number(shard);
}

function ownerIn(name: string): string | undefined {
  return name.split('.')[1];
}
