import type { EventBatch, Spool, Spools, ZoneAddress } from '@millrace/kernel';
import { FileSpool, MARK, type SpoolQuota } from './spool.ts';
import { diskOf, partOf, type SpoolDisk } from './spool-disk.ts';

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
  readonly #quota: SpoolQuota;
  readonly #onDamage: (message: string) => void;
  readonly #writesLeft: boolean;
  /** Spools that are open, by shard and owner. */
  readonly #opened = new Map<number, Map<string, OwnerSpool>>();

  constructor(disk: SpoolDisk, { bytesMax, onDamage = () => {}, writesLeft = false }: FileSpoolsOptions) {
    this.#disk = disk;
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
    if (before) this.#disk.writeText(nameOf(shard, owner, AFTER), before.owner);
    this.#tidy(shard, before);
    return this.#enter(shard, new OwnerSpool(owner, before, () => this.#openFiles(shard, owner), this.#forgetting(shard, owner)));
  }

  close(shard: number): void {
    for (const spool of this.#opened.get(shard)?.values() ?? []) spool.close();
    this.#opened.delete(shard);
  }

  left(): number[] {
    if (!this.#writesLeft) return [];
    return [...ownersIn(this.#disk).keys()];
  }

  /** What an owner and those before it have left; null without any. */
  #leftBy(shard: number, owner: string): OwnerSpool | null {
    const opened = this.#opened.get(shard)?.get(owner);
    // Also when it is empty: its owner may add batches until the claim has taken effect.
    if (opened) return opened;
    const after = this.#disk.readText(nameOf(shard, owner, AFTER));
    const hasFiles = this.#disk.list().some((name) => name.startsWith(nameOf(shard, owner, '')) && name.endsWith(SEGMENT));
    if (!hasFiles && after === undefined) return null;
    const before = after === undefined ? null : this.#leftBy(shard, after);
    const spool = new OwnerSpool(owner, before, () => this.#openFiles(shard, owner), this.#forgetting(shard, owner));
    if (hasFiles) spool.openFiles();
    return spool.batches > 0 ? this.#enter(shard, spool) : null;
  }

  /** Sets aside what owners have left that others have replaced: the log will never accept it. */
  #tidy(shard: number, lineage: OwnerSpool | null): void {
    const kept = new Set<string>();
    for (let spool = lineage; spool; spool = spool.before) kept.add(spool.owner);
    const abandoned = new Set<string>();
    for (const name of this.#disk.list()) {
      const owner = shardIn(name) === shard ? ownerIn(name) : undefined;
      if (owner === undefined || kept.has(owner) || name.endsWith(ABANDONED)) continue;
      if (name.endsWith(SEGMENT)) {
        this.#disk.rename(name, `${name}${ABANDONED}`);
        abandoned.add(owner);
      }
      // A late claim may still need them while an earlier owner has left something.
      else if (!lineage && (name.endsWith(`.${AFTER}`) || name.endsWith(`.${MARK}`))) this.#disk.remove(name);
    }
    for (const owner of abandoned)
      this.#onDamage(
        `the spool of an earlier owner of shard ${shard} is not part of its log, because another host has owned the shard since; ` +
          `its files are kept as ${nameOf(shard, owner, `*${SEGMENT}${ABANDONED}`)}`,
      );
  }

  #openFiles(shard: number, owner: string): FileSpool {
    return new FileSpool(partOf(this.#disk, nameOf(shard, owner, '')), this.#quota, this.#onDamage);
  }

  #forgetting(shard: number, owner: string): () => void {
    return () => {
      try {
        this.#disk.remove(nameOf(shard, owner, AFTER));
      } catch {
        // It names an owner that has left nothing.
      }
    };
  }

  #enter(shard: number, spool: OwnerSpool): OwnerSpool {
    const ofShard = this.#opened.get(shard) ?? new Map<string, OwnerSpool>();
    this.#opened.set(shard, ofShard.set(spool.owner, spool));
    return spool;
  }
}

/** What the owners of a shard have left, up to one owner. */
class OwnerSpool implements Spool {
  readonly owner: string;
  before: OwnerSpool | null;
  #files: FileSpool | null = null;
  readonly #open: () => FileSpool;
  readonly #forgetBefore: () => void;

  constructor(owner: string, before: OwnerSpool | null, open: () => FileSpool, forgetBefore: () => void) {
    this.owner = owner;
    this.before = before;
    this.#open = open;
    this.#forgetBefore = forgetBefore;
  }

  openFiles(): FileSpool {
    this.#files ??= this.#open();
    return this.#files;
  }

  get batches(): number {
    return (this.before?.batches ?? 0) + (this.#files?.batches ?? 0);
  }

  add(batches: readonly EventBatch[]): number {
    return this.openFiles().add(batches);
  }

  oldest(eventsMax: number): EventBatch[] {
    return this.#first?.oldest(eventsMax) ?? [];
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
    return [...(this.before?.ofZone(zone) ?? []), ...(this.#files?.ofZone(zone) ?? [])];
  }

  close(): void {
    this.#files?.close();
    this.#files = null;
  }

  /** What has the oldest batches. */
  get #first(): Spool | null {
    return this.before && this.before.batches > 0 ? this.before : this.#files;
  }

  #advance(): void {
    if (!this.before || this.before.batches > 0) return;
    this.before = null;
    this.#forgetBefore();
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
