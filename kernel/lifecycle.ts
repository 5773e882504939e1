import { type Refused, refused, type ZoneAddress } from './command.ts';
import { messageOf, retryDelayMs } from './deadline.ts';
import type { AnyZoneDefinition } from './definition.ts';
import type { ZoneStatus } from './host-options.ts';
import type { HostParts } from './host-parts.ts';
import { stackOf } from './observers.ts';
import { type RecoveryStep, readOn, recover } from './recovery.ts';
import type { Shards } from './shards.ts';
import type { Snapshots } from './snapshots.ts';
import type { Standbys } from './standbys.ts';
import { RecordBroken } from './state-replay.ts';
import type { Turns } from './turns.ts';
import { Zone } from './zone.ts';
import { ZoneEntry } from './zone-entry.ts';

/** Failures of a zone within one minute before retries slow down: a zone that fails more often would fail forever. */
const QUICK_FAILURES_MAX = 5;
/** Delay before the first slow retry, in ms. It doubles with each failure. */
const RETRY_FIRST_MS = 250;

const ignored = () => {};

type Parts = Pick<HostParts, 'options' | 'entries' | 'observers'> & {
  shards: Shards;
  snapshots: Snapshots;
  standbys: Standbys;
  turns: Turns;
};

/** Moves the zones of a host through their lifecycle (see `ZoneStatus`). Except for `drop`, transitions of an address run one by one. */
export class Lifecycle {
  readonly #parts: Parts;
  /** The last transition of each address that has one in progress. */
  readonly #transitions = new Map<ZoneAddress, Promise<void>>();
  failures = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Recovers a zone from its record, as the owner of its shard. Returns the entry at once; its `bringUp` settles when the recovery ends. */
  open(definition: AnyZoneDefinition, address: ZoneAddress): ZoneEntry {
    const shard = this.#parts.shards.of(address);
    const entry = new ZoneEntry(new Zone(definition, address), shard);
    shard.zones.add(entry);
    this.#parts.entries.set(address, entry);
    this.#makeRoom();
    void this.bringUp(entry, 'opening').catch(ignored);
    return entry;
  }

  /**
   * Handles an exception of a zone: discards the events of the failed command, then recovers the zone from its record. The
   * recovery waits longer each time if the zone fails often.
   */
  failed(entry: ZoneEntry, error: unknown): void {
    const { zone } = entry;
    zone.undoFailed();
    this.failures++;
    this.#parts.observers.report({ kind: 'zone-failed', zone: zone.address, message: stackOf(error) });
    const beyond = entry.countFailure(this.#parts.options.clock.elapsed()) - QUICK_FAILURES_MAX;
    if (beyond > 0) this.#retryLater(entry, beyond);
    else void this.bringUp(entry).catch(ignored);
  }

  /** Releases a zone: waits until the log has all its events, then removes it. Repeated calls return the same promise. */
  release(entry: ZoneEntry): Promise<void> {
    entry.releasing ??= this.#serially(entry.zone.address, () => this.#release(entry));
    return entry.releasing;
  }

  /** Removes a zone at once, and refuses the commands in its mailbox with `ZONE_STOPPED`. */
  drop(entry: ZoneEntry, reason: string): void {
    if (entry.status === 'stopped') return;
    this.#parts.entries.delete(entry.zone.address);
    this.#enter(entry, 'stopped');
    entry.gone.resolve();
    entry.replyToAll(refused('ZONE_STOPPED', reason));
    entry.shard.leave(entry);
  }

  /** Removes a zone at once, because another host may own it. With the last zone of a shard, its ownership ends. */
  abandon(entry: ZoneEntry): void {
    const { shard, zone } = entry;
    shard.leaveAtOnce(entry);
    this.drop(entry, `${zone.address} has another owner now.`);
  }

  #retryLater(entry: ZoneEntry, failures: number): void {
    const { address } = entry.zone;
    const ms = retryDelayMs(failures, RETRY_FIRST_MS);
    const message = `the zone failed and is stopped; the host rebuilds it in ${ms} ms`;
    this.#enter(entry, 'failed', () => this.#parts.options.clock.after(ms, () => void this.bringUp(entry).catch(ignored)));
    // The others stay: their sender would not learn that they are lost.
    entry.replyToAll(refused('ZONE_STOPPED', `${address}: ${message}.`), ({ onReply }) => onReply !== null);
    if (entry.status !== 'stopped') this.#parts.observers.report({ kind: 'zone-stopped', zone: address, message });
  }

  /** Recovers a zone of this host from its record, as its owner. */
  bringUp(entry: ZoneEntry, as: 'opening' | 'rebuilding' = 'rebuilding'): Promise<void> {
    this.#enter(entry, as);
    // It starts asynchronously, after the current turn, so that the outbox has everything that was decided.
    entry.bringUp = this.#serially(entry.zone.address, () => this.#recover(entry)).catch((error) => {
      if (entry.status !== 'stopped') {
        this.#parts.observers.report({ kind: 'recovery', zone: entry.zone.address, message: messageOf(error) });
        if (as === 'opening') this.drop(entry, messageOf(error));
        else this.#retryLater(entry, entry.countFailure(this.#parts.options.clock.elapsed()));
      }
      throw error;
    });
    return entry.bringUp;
  }

  /** Recovers the zone from its record and activates it, as its owner. */
  async #recover(entry: ZoneEntry): Promise<void> {
    const { zone, shard } = entry;
    const { address } = zone;
    requireHere(entry);
    if (zone.epoch === 0) {
      await shard.owned().finally(() => requireHere(entry));
      shard.adopt(entry);
      entry.durableSeq = shard.headOf(address);
    }
    await shard.outbox.drained();
    const { options, standbys } = this.#parts;
    const recovered = await recover(zone.definition, address, options, { head: shard.headOf(address), standby: standbys.take(address) });
    const { replay, position } = recovered;
    // Events of this owner become durable while the log is read. It decides no more of them, so that this ends. A read without any of them finds a gap.
    for (let before = -1; replay.seq < shard.headOf(address) && replay.seq > before; ) {
      before = replay.seq;
      await readOn(replay, recovered, options);
    }
    requireHere(entry);
    if (recovered.epoch > shard.epoch) shard.lost(`the log has events of epoch ${recovered.epoch}`);
    requireHere(entry);
    for (const batch of shard.outbox.unrecorded(address)) replay.apply(batch);
    // Retention has dropped them.
    if (replay.seq < shard.headOf(address)) throw new RecordBroken(address, replay.seq + 1, shard.headOf(address));
    entry.recoveredSeq = replay.seq;
    // Lost events stay lost. Their seqs are not used again, so that an event id stays unique.
    const seq = Math.max(replay.seq, shard.outbox.lostUpTo(address) ?? 0);
    zone.restore(replay.checkpoint(), seq, replay.time, position);
    this.#activate(entry, recovered.steps, seq - replay.seq);
  }

  /** Removes a zone whose shard another owner has claimed: the log refuses all events of this owner. */
  lost(entry: ZoneEntry, reason: string): void {
    const { address, epoch } = entry.zone;
    this.drop(entry, `${address} has another owner now.`);
    const message = `epoch ${epoch} is stale: ${reason}, so this host removed the zone`;
    this.#parts.observers.report({ kind: 'zone-lost', zone: address, message });
  }

  #activate(entry: ZoneEntry, steps: readonly RecoveryStep[], lostEvents: number): void {
    const { observers, turns } = this.#parts;
    entry.status = 'active';
    entry.shard.outbox.bridge(entry);
    turns.startTicks(entry);
    for (const notice of entry.deferred.splice(0)) observers.notify(notice);
    observers.notify(({ onRecovered }) => onRecovered?.(entry.zone.address, steps, lostEvents));
    observers.notify(({ onStatus }) => onStatus?.(entry.zone.address, entry.status));
    turns.schedule(entry);
  }

  async #release(entry: ZoneEntry): Promise<void> {
    const { address } = entry.zone;
    const { snapshots, turns } = this.#parts;
    const { outbox } = entry.shard;
    const orGone = <T>(work: Promise<T>) => Promise.race([work, entry.gone.promise]);
    const durable = () => new Promise<Refused | null>((resolve) => outbox.whenDurable(address, entry.zone.seq, resolve));
    // Only a sound state can replace lost events. Without one, the next owner gets what is on record.
    const isBroken = () => !entry.isSound && outbox.lostUpTo(address) !== undefined;
    // A refusal means that events were lost. The lost range is queued for the log once the outbox flows again.
    for (let isLost = true; isLost && !isBroken(); ) {
      await orGone(outbox.flowing());
      if (entry.status === 'active') {
        this.#enter(entry, 'releasing');
        turns.finish(entry);
      }
      isLost = !isBroken() && Boolean(await orGone(durable()));
      if (!isHere(entry)) return;
    }
    await Promise.all([snapshots.take(entry, 'hot'), snapshots.take(entry, 'cold')]);
    this.drop(entry, `${address} was released by this host.`);
  }

  /** Beyond `zonesMax`, releases the least recently used idle zones, and 10 % of `zonesMax` more, so that few openings search. */
  #makeRoom(): void {
    const { entries, observers, options } = this.#parts;
    const { zonesMax = Number.POSITIVE_INFINITY } = options;
    if (entries.size <= zonesMax) return;
    const idle = [...entries.values()].filter(
      ({ status, mailbox, releasing, zone }) => status === 'active' && mailbox.length === 0 && releasing === null && !zone.definition.tick,
    );
    idle.sort((one, other) => one.usedAt - other.usedAt);
    for (const entry of idle.slice(0, entries.size - zonesMax + Math.floor(zonesMax / 10)))
      void this.release(entry).catch((error) => observers.report({ kind: 'log', message: messageOf(error) }));
  }

  /**
   * Observers may remove a zone at any notification. A removed zone never comes back: another one may have its address by then.
   * @param startTimer starts the timer of the status, and returns what cancels it
   */
  #enter(entry: ZoneEntry, status: ZoneStatus, startTimer?: () => () => void): void {
    if (entry.status === 'stopped') return;
    entry.cancelTimer();
    entry.status = status;
    if (startTimer) entry.cancelTimer = startTimer();
    this.#parts.observers.notify(({ onStatus }) => onStatus?.(entry.zone.address, status));
  }

  /** Runs `work` after the earlier transitions of the address, whether they succeeded or failed. */
  #serially(address: ZoneAddress, work: () => Promise<void>): Promise<void> {
    const before = this.#transitions.get(address) ?? Promise.resolve();
    const done = before.then(work);
    const settled = done.catch(ignored).then(() => {
      if (this.#transitions.get(address) === settled) this.#transitions.delete(address);
    });
    this.#transitions.set(address, settled);
    return done;
  }
}

function isHere({ status }: ZoneEntry): boolean {
  return status !== 'stopped';
}

/** @throws Error when the zone was removed from the host meanwhile */
function requireHere(entry: ZoneEntry): void {
  if (!isHere(entry)) throw new Error(`${entry.zone.address} was removed from this host during its recovery. Open it again.`);
}
