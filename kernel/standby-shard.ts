import type { EventBatch } from './batch.ts';
import type { ZoneAddress } from './command.ts';
import { ANSWER_MS_MAX, messageOf, retryDelayMs, within } from './deadline.ts';
import type { AnyZoneDefinition } from './definition.ts';
import type { HostOptions } from './host-options.ts';
import type { HostParts } from './host-parts.ts';
import type { LogPosition } from './ports.ts';
import { copyOf, newestCopy, recover, type ZoneCopy } from './recovery.ts';

/** Snapshots that are loaded at a time at the beginning. The zones of the host itself have priority. */
const LOADING_MAX = 4;
/** Delay before a follower that failed reads again, ms. It doubles with each failure. */
const RETRY_FIRST_MS = 250;

interface Parts extends Pick<HostParts, 'observers'> {
  readonly options: Pick<HostOptions, 'log' | 'hot' | 'cold' | 'clock'>;
  /** Undefined for a kind that the host does not have. */
  readonly definitionOf: (zone: ZoneAddress) => AnyZoneDefinition | undefined;
  /** Number of copies that may be added now. */
  readonly room: () => number;
  /** Called after a copy was added. */
  readonly onAdded: () => void;
}

/**
 * The standby copies of the zones of one shard. They follow the log of the shard, so each is always what a recovery of its zone up to the same seq
 * gives. While the log cannot be read they stay as they are. A failure never affects the host.
 */
export class StandbyShard {
  readonly #parts: Parts;
  readonly #index: number;
  readonly #copies = new Map<ZoneAddress, ZoneCopy>();
  /** Zones whose events cannot be applied. They have no copies until the host begins to follow the shard again. */
  readonly #failed = new Set<ZoneAddress>();
  /** The zone whose copy is being recovered, because it was dropped before, or lacks events. */
  #recovering: { readonly zone: ZoneAddress; readonly done: Promise<void> } | null = null;
  /** Records that the copies lack; null until they have followed the log once. */
  #lag: number | null = null;
  #run: AbortController | null = null;

  constructor(parts: Parts, index: number) {
    this.#parts = parts;
    this.#index = index;
  }

  get copies(): ReadonlyMap<ZoneAddress, ZoneCopy> {
    return this.#copies;
  }

  get lagRecords(): number {
    return this.#lag ?? 0;
  }

  /** Whether the copies have had the whole log once. */
  get isComplete(): boolean {
    return this.#lag !== null;
  }

  get isFollowing(): boolean {
    return this.#run !== null;
  }

  /** Begins to follow the shard, with new copies. */
  start(): void {
    if (this.#run) return;
    this.#run = new AbortController();
    void this.#keepFollowing(this.#run.signal);
  }

  /** Ends following. The copies stay as they are. */
  stop(): void {
    this.#run?.abort();
    this.#run = null;
  }

  /** Removes and returns the copy of a zone. */
  take(zone: ZoneAddress): ZoneCopy | undefined {
    const copy = this.#copies.get(zone);
    this.#copies.delete(zone);
    return copy;
  }

  drop(zone: ZoneAddress): void {
    this.#copies.delete(zone);
  }

  clear(): void {
    this.#copies.clear();
    this.#failed.clear();
    this.#lag = null;
  }

  async #keepFollowing(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts.options;
    let failures = 0;
    let from: readonly (LogPosition | null)[] | null = null;
    while (!signal.aborted) {
      try {
        from ??= await this.#begin(signal);
        await this.#follow(from, signal, (next) => {
          failures = 0;
          from = next;
        });
      } catch (error) {
        if (signal.aborted) return;
        // During an outage of the log, all shards fail again and again.
        if (++failures === 1) this.#report(`shard ${this.#index} cannot be followed: ${messageOf(error)}; the host tries it again`);
        await pause(clock, retryDelayMs(failures, RETRY_FIRST_MS), signal);
      }
    }
  }

  /** Begins the copies. @returns the positions from which they need the log */
  async #begin(signal: AbortSignal): Promise<(LogPosition | null)[]> {
    const { log, clock } = this.#parts.options;
    this.clear();
    const { position, heads } = await within(clock, ANSWER_MS_MAX, 'the log', log.placeOf(this.#index));
    return [position, ...(await this.#load(heads, signal))];
  }

  /** @param onPart called after each part, with the positions from which the copies need the log then */
  async #follow(
    from: readonly (LogPosition | null)[],
    signal: AbortSignal,
    onPart: (next: readonly (LogPosition | null)[]) => void,
  ): Promise<void> {
    for await (const part of this.#parts.options.log.follow(this.#index, from, signal)) {
      for (const { batch, position } of part.batches) {
        if (this.#recovering?.zone === batch.zone) await this.#recovering.done;
        if (signal.aborted) return;
        this.#apply(batch, position);
      }
      if (signal.aborted) return;
      this.#lag = part.lag;
      const last = part.batches.at(-1);
      onPart(last ? [last.position] : from);
    }
    if (!signal.aborted) throw new Error('the log has ended the read');
  }

  /** Begins the copies of the zones that the shard has. @returns the positions from which they need the log */
  async #load(heads: ReadonlyMap<ZoneAddress, number>, signal: AbortSignal): Promise<(LogPosition | null)[]> {
    const { options, definitionOf, room } = this.#parts;
    const from: (LogPosition | null)[] = [];
    const zones = heads.entries();
    const loadEach = async () => {
      for (const [zone, head] of zones) {
        const definition = definitionOf(zone);
        if (signal.aborted || room() <= 0) return;
        if (!definition) continue;
        const copy = await newestCopy(definition, zone, options);
        if (signal.aborted) return;
        if (copy.replay.seq < head) from.push(copy.position);
        this.#add(zone, copy);
      }
    };
    await Promise.all(Array.from({ length: LOADING_MAX }, loadEach));
    return from;
  }

  #apply(batch: EventBatch, position: LogPosition): void {
    const { zone } = batch;
    const known = this.#copies.get(zone);
    const isGap = known !== undefined && batch.firstSeq > known.replay.seq + 1;
    // Retention was faster than this host: a snapshot has the events between.
    if (isGap) this.#copies.delete(zone);
    const copy = isGap ? this.#newCopy(batch) : (known ?? this.#newCopy(batch));
    if (!copy) return;
    try {
      copy.replay.apply(batch);
      copy.position = position;
      copy.epoch = Math.max(copy.epoch, batch.epoch);
      if (!this.#copies.has(zone)) this.#add(zone, copy);
    } catch (error) {
      this.#fail(zone, error);
    }
  }

  /** The copy of a zone that has none: before its first event. At a later one, it is recovered in the background, one zone at a time. */
  #newCopy({ zone, firstSeq }: EventBatch): ZoneCopy | undefined {
    const definition = this.#parts.definitionOf(zone);
    if (!definition || this.#failed.has(zone)) return undefined;
    if (firstSeq === 1) return copyOf(definition, zone, undefined);
    this.#recovering ??= { zone, done: this.#recover(definition, zone) };
    return undefined;
  }

  /** Never rejects. */
  async #recover(definition: AnyZoneDefinition, zone: ZoneAddress): Promise<void> {
    const run = this.#run;
    try {
      const { replay, position, epoch } = await recover(definition, zone, this.#parts.options);
      if (this.#run === run && run !== null && !this.#copies.has(zone)) this.#add(zone, { replay, position, epoch });
    } catch (error) {
      if (this.#run === run) this.#fail(zone, error);
    } finally {
      this.#recovering = null;
    }
  }

  #add(zone: ZoneAddress, copy: ZoneCopy): void {
    this.#copies.set(zone, copy);
    this.#parts.onAdded();
  }

  #fail(zone: ZoneAddress, error: unknown): void {
    this.#copies.delete(zone);
    this.#failed.add(zone);
    this.#report(`${zone} has no standby copy: ${messageOf(error)}`, zone);
  }

  #report(message: string, zone?: ZoneAddress): void {
    this.#parts.observers.report({ kind: 'standby', ...(zone !== undefined && { zone }), message });
  }
}

/** Resolves after `ms`, or when the signal aborts. */
function pause(clock: HostOptions['clock'], ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal.addEventListener('abort', end);
  });
}
