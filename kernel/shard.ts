import { ClaimLost, type WriterEnd, WriterEnded } from './batch.ts';
import type { ZoneAddress } from './command.ts';
import { messageOf, retryDelayMs, within } from './deadline.ts';
import { ENDLESS, type HostParts, hasLease } from './host-parts.ts';
import { Outbox } from './outbox.ts';
import type { ShardWriter, Spool } from './ports.ts';
import type { ZoneEntry, ZoneShard } from './zone-entry.ts';

/** Time limit of a claim, ms. It takes several requests. */
const CLAIM_MS_MAX = 10_000;
/** Time limit for the release of a writer, ms. */
const RELEASE_MS_MAX = 5_000;
/** Delay before the first retry of an unavailable log, ms. It doubles with each failure. */
const RETRY_FIRST_MS = 100;

const ignored = () => {};

/**
 * State of a shard on its host. `suspended`: the log is unavailable, or does not tell what it has. The zones continue to decide, and their events go to
 * the spool, until the host has claimed the shard again. `ended`: released, or another host owns it.
 *
 *     claiming -> owned -> suspended -> owned
 *     any -> ended
 */
export type ShardState = 'claiming' | 'owned' | 'suspended' | 'ended';

type Parts = Pick<HostParts, 'options' | 'entries' | 'observers' | 'onLost'> & { readonly memory: { events: number } };

/** A shard that this host owns, or claims: its writer, outbox and spool. It is owned while it has zones, or events for the log. */
export class Shard implements ZoneShard {
  readonly index: number;
  readonly outbox: Outbox;
  readonly zones = new Set<ZoneEntry>();
  epoch = 0;
  state: ShardState = 'claiming';
  readonly #parts: Parts;
  #writer: ShardWriter | null = null;
  /** Names of this host as owner of the shard, also of claims whose outcome it did not learn. */
  readonly #owners = new Set<string>();
  /** Claims that have failed, and still run. */
  #lateClaims = 0;
  /** Whether a claim has failed since the last one that has not, and may have taken effect. */
  #mayHaveClaimed = false;
  /** Whether the last claim has found another host’s. */
  #hasOtherOwner = false;
  readonly #owned = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  /** The last claim. */
  #claiming: Promise<void>;
  /** Consecutive failures. */
  #attempts = 0;
  #cancelRetry: () => void = ignored;
  /** Number of openings of zones under this epoch. */
  #openings = 0;

  /** @param before resolves when an earlier ownership of this host has ended */
  constructor(parts: Parts, index: number, before: Promise<void>) {
    this.#parts = parts;
    this.index = index;
    this.outbox = new Outbox({
      ...parts,
      onUnknown: (message, error) => this.#suspend(message, error),
      onDurable: () => {
        this.#attempts = 0;
      },
    });
    this.#owned.promise.catch(ignored);
    this.#claiming = before.then(() => this.#claim());
  }

  /** Resolves when this host owns the shard. @throws what its claim throws; Error while the log is unavailable */
  async owned(): Promise<void> {
    await this.#owned.promise;
    if (this.state === 'suspended') throw new Error('the log is unavailable');
  }

  /** Resolves when the ownership has ended, and another one may begin. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Newest seq of a zone that is known to be in the log. */
  headOf(zone: ZoneAddress): number {
    return Math.max(this.#writer?.headOf(zone) ?? 0, this.#parts.entries.get(zone)?.durableSeq ?? 0);
  }

  /** Makes a zone continue under the present epoch. Call it at its opening. */
  adopt({ zone }: ZoneEntry): void {
    zone.own(this.epoch, this.#parts.options.random(zone.address, this.epoch, ++this.#openings));
  }

  /** Removes a zone. The host releases the shard when it has no zones, and the log has all of its events. */
  leave(entry: ZoneEntry): void {
    this.zones.delete(entry);
    void this.#releaseIfIdle();
  }

  /**
   * Removes a zone that another host may own already. With its last zone, the ownership ends at once; what the log lacks stays on the spool, for an owner
   * that follows this one.
   */
  leaveAtOnce(entry: ZoneEntry): void {
    this.zones.delete(entry);
    if (this.#isEnded || this.zones.size > 0) return;
    this.#end();
    void this.#writer?.release().catch(ignored);
    void this.#claiming.then(() => this.#gone.resolve());
  }

  /** Another owner has, or may have, claimed the shard. What the log lacks stays on the spool: only an owner that follows this one takes it. */
  lost(reason: string): void {
    if (this.state === 'ended') return;
    this.#end();
    void this.#writer?.release().catch(ignored);
    this.#gone.resolve();
    for (const entry of [...this.zones]) this.#parts.onLost(entry, reason);
  }

  /** Ends the ownership in order. Call it when the outbox is drained. */
  async release(): Promise<void> {
    if (this.state === 'ended') return this.gone;
    this.#end();
    const released = this.#writer?.release() ?? Promise.resolve();
    await within(this.#parts.options.clock, RELEASE_MS_MAX, 'the log', released).catch(ignored);
    this.#gone.resolve();
  }

  async #claim(): Promise<void> {
    if (this.state === 'ended') return;
    const { log, spools, clock, lease = ENDLESS } = this.#parts.options;
    let spool: Spool | null = null;
    let isLate = false;
    const onPrevious = (owner: string, previous: string) => {
      // It must not take the shard from a later claim.
      if (isLate || this.#isEnded) throw new ClaimLost(this.index, 'the claim is too late');
      this.#hasOtherOwner = this.epoch > 0 && !this.#owners.has(previous);
      if (this.#hasOtherOwner) throw new ClaimLost(this.index, 'another host has owned it since');
      this.#owners.add(owner);
      spool = spools.open(this.index, owner, previous);
    };
    const claim = log.own(this.index, { lease, onPrevious });
    claim.then((writer) => (isLate ? writer.release() : undefined)).catch(ignored);
    try {
      this.#own(await within(clock, CLAIM_MS_MAX, 'the log', claim), spool as Spool | null);
      this.#mayHaveClaimed = false;
    } catch (error) {
      isLate = true;
      this.#claimFailed(error);
      this.#mayHaveClaimed = true;
      this.#lateClaims++;
      void claim.then(ignored, ignored).then(() => this.#lateClaims--);
    }
  }

  #own(writer: ShardWriter, spool: Spool | null): void {
    if (this.#isEnded || !spool) return void writer.release().catch(ignored);
    try {
      spool.begin();
    } catch (error) {
      void writer.release().catch(ignored);
      throw error;
    }
    this.#writer = writer;
    this.epoch = writer.epoch;
    this.#openings = 0;
    this.state = 'owned';
    for (const entry of this.zones) {
      if (entry.zone.epoch > 0) this.adopt(entry);
      entry.durableSeq = Math.max(entry.durableSeq, writer.headOf(entry.zone.address));
    }
    void writer.ended.then((end) => this.#writerEnded(writer, end));
    this.outbox.attach(writer, spool);
    this.#owned.resolve();
    void this.#releaseIfIdle();
  }

  #claimFailed(error: unknown): void {
    if (this.#isEnded) return;
    if (this.epoch > 0) return this.#suspend(messageOf(error), error);
    this.#owned.reject(error);
    this.#end();
    this.#gone.resolve();
  }

  #writerEnded(writer: ShardWriter, end: WriterEnd): void {
    if (writer === this.#writer && end !== 'released') this.#suspend('the log does not confirm', new WriterEnded(this.index, end));
  }

  /** Claims the shard again, and keeps its zones, unless another owner may have changed them. */
  #suspend(message: string, error: unknown): void {
    if (this.#isEnded) return;
    const isFenced = error instanceof ClaimLost || (error instanceof WriterEnded && error.end === 'fenced');
    // If the other claim may be one of this host, the next one finds out.
    const isLost = isFenced && (this.#hasOtherOwner || !(this.#mayHaveClaimed || this.#lateClaims > 0));
    if (isLost || !hasLease(this.#parts.options)) return this.lost(messageOf(error));
    const isAgain = this.#writer === null;
    this.#writer = null;
    this.state = 'suspended';
    if (!isAgain) this.outbox.detach();
    const ms = retryDelayMs(++this.#attempts, RETRY_FIRST_MS);
    this.#parts.observers.report({ kind: 'log', message: `${message}; retry in ${ms} ms` });
    this.#cancelRetry = this.#parts.options.clock.after(ms, () => {
      this.#claiming = this.#claim();
    });
  }

  async #releaseIfIdle(): Promise<void> {
    const isIdle = () => this.zones.size === 0 && this.state === 'owned';
    if (!isIdle()) return;
    await this.outbox.flowing();
    await this.outbox.drained();
    if (isIdle()) await this.release();
  }

  get #isEnded(): boolean {
    return this.state === 'ended';
  }

  #end(): void {
    this.state = 'ended';
    this.#owned.reject(new Error(`shard ${this.index} has another owner now`));
    this.#cancelRetry();
    this.outbox.end();
    this.#parts.options.spools.close(this.index);
  }
}
