import { writerOf } from './batch.ts';
import { ANSWER_MS_MAX, messageOf, retryDelayMs, within } from './deadline.ts';
import { type AnyZoneDefinition, type Refused, refused, type ZoneAddress } from './definition.ts';
import type { HostOptions, ZoneStatus } from './host-options.ts';
import { type Observers, traceOf } from './observers.ts';
import type { Outbox } from './outbox.ts';
import { missingFrom } from './past.ts';
import { type RecoveryStep, recover } from './recovery.ts';
import type { Snapshots } from './snapshots.ts';
import type { Turns } from './turns.ts';
import { Zone } from './zone.ts';
import { ZoneEntry } from './zone-entry.ts';

/** A zone that fails more often than this within a minute is retried ever more slowly: it would fail for ever. */
const QUICK_FAILURES_MAX = 5;
const RETRY_FIRST_MS = 250;

const ignored = () => {};

/** The parts of a host that a zone’s life involves. */
export interface LifecycleParts {
  readonly options: HostOptions;
  readonly entries: Map<ZoneAddress, ZoneEntry>;
  readonly observers: Observers;
  readonly outbox: Outbox;
  readonly snapshots: Snapshots;
  readonly turns: Turns;
}

/** Takes zones of a host through their life (see `ZoneStatus`). The transitions of an address happen one after another. */
export class Lifecycle {
  readonly #parts: LifecycleParts;
  /** The last transition of each address that has one under way. */
  readonly #transitions = new Map<ZoneAddress, Promise<void>>();
  failures = 0;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  /** Claims a zone and brings it back from its record. */
  open(definition: AnyZoneDefinition, address: ZoneAddress): ZoneEntry {
    const entry = new ZoneEntry(new Zone(definition, address));
    this.#parts.entries.set(address, entry);
    this.#makeRoom();
    void this.#bringUp(entry, 'opening').catch(ignored);
    return entry;
  }

  /** Brings a zone back from its record as its owner. */
  rebuild(entry: ZoneEntry): Promise<void> {
    return this.#bringUp(entry, 'rebuilding');
  }

  /** A zone threw: it is brought back as what was decided before, from its record, and later each time if it fails often. */
  failed(entry: ZoneEntry, error: unknown): void {
    const { zone } = entry;
    zone.undoFailed();
    this.failures++;
    this.#parts.observers.report({ kind: 'zone-failed', zone: zone.address, message: traceOf(error) });
    const beyond = entry.countFailure(this.#parts.options.clock.elapsed()) - QUICK_FAILURES_MAX;
    if (beyond > 0) this.#retryLater(entry, beyond);
    else void this.rebuild(entry).catch(ignored);
  }

  /** Hands a zone over to the log, and lets go of it. */
  release(entry: ZoneEntry): Promise<void> {
    entry.releasing ??= this.#serially(entry.zone.address, () => this.#release(entry));
    return entry.releasing;
  }

  /** Lets go of a zone at once. */
  drop(entry: ZoneEntry, why: string): void {
    if (entry.isStopped) return;
    this.#parts.entries.delete(entry.zone.address);
    this.#enter(entry, 'stopped');
    entry.gone.resolve();
    entry.answerAll(refused('ZONE_STOPPED', why));
  }

  #retryLater(entry: ZoneEntry, failures: number): void {
    const { address } = entry.zone;
    const ms = retryDelayMs(failures, RETRY_FIRST_MS);
    const message = `it failed and is stopped; it is tried again in ${ms} ms`;
    this.#enter(entry, 'failed');
    entry.answerAll(refused('ZONE_STOPPED', `${address}: ${message}.`));
    this.#parts.observers.report({ kind: 'zone-stopped', zone: address, message });
    entry.cancelTimer = this.#parts.options.clock.after(ms, () => void this.rebuild(entry).catch(ignored));
  }

  #bringUp(entry: ZoneEntry, as: 'opening' | 'rebuilding'): Promise<void> {
    this.#enter(entry, as);
    // It begins when what runs now is over, so that all that was decided has been handed on.
    entry.bringUp = this.#serially(entry.zone.address, () => this.#recover(entry)).catch((error) => {
      if (!entry.isStopped) {
        this.#parts.observers.report({ kind: 'recovery', zone: entry.zone.address, message: messageOf(error) });
        if (as === 'opening') this.drop(entry, messageOf(error));
        else this.#retryLater(entry, entry.countFailure(this.#parts.options.clock.elapsed()));
      }
      throw error;
    });
    return entry.bringUp;
  }

  /** Makes the zone what its record says, as its owner. */
  async #recover(entry: ZoneEntry): Promise<void> {
    const { zone } = entry;
    const { address } = zone;
    const { outbox, options } = this.#parts;
    requireHere(entry);
    // What was lost is lost now. Its seqs are given to other events only under another epoch than theirs.
    if (zone.epoch === 0 || entry.lostFrom !== null) await this.#claim(entry);
    await outbox.drained();
    const recovered = await recover(zone.definition, address, options);
    requireHere(entry);
    const { takenOver } = entry;
    const { past } = recovered;
    // What was left on the spool counts, unless another owner has gone on without it. The newest writer there has written
    // everything anew that came before it; what others left beside it is of a branch that was given up.
    const left = [...(takenOver?.left ?? []), ...outbox.unrecorded(address)];
    const newest = Math.max(...left.map(writerOf));
    const own = left.filter((batch) => newest >= recovered.epoch && writerOf(batch) === newest);
    for (const batch of own) past.apply(batch);
    if (entry.lostFrom !== null) throw new Error('events were lost while the zone came back');
    zone.restore(past.checkpoint(), past.seq, recovered.position);
    const missing = takenOver ? missingFrom([...recovered.unrecorded, ...own], takenOver.lastSeq) : [];
    entry.takenOver = null;
    outbox.push(missing.map((batch) => ({ ...batch, writer: zone.epoch })));
    this.#activate(entry, recovered.steps);
  }

  async #claim(entry: ZoneEntry): Promise<void> {
    const { address } = entry.zone;
    const { outbox, options } = this.#parts;
    // What an earlier owner left is looked at first: under its own epoch it is refused as soon as the zone is claimed.
    const left = [...(entry.takenOver?.left ?? []), ...outbox.unrecorded(address)];
    const claim = await within(options.clock, ANSWER_MS_MAX, 'the log', options.log.claim(address));
    entry.own(claim, left, options.random(address, claim.epoch));
  }

  #activate(entry: ZoneEntry, steps: readonly RecoveryStep[]): void {
    const { observers, turns } = this.#parts;
    entry.status = 'active';
    turns.startTicks(entry);
    for (const tell of entry.deferred.splice(0)) observers.notify(tell);
    observers.notify(({ onRecovered }) => onRecovered?.(entry.zone.address, steps));
    observers.notify(({ onStatus }) => onStatus?.(entry.zone.address, entry.status));
    turns.schedule(entry);
  }

  async #release(entry: ZoneEntry): Promise<void> {
    const { address } = entry.zone;
    const { outbox, snapshots, turns } = this.#parts;
    const orGone = <T>(work: Promise<T>) => Promise.race([work, entry.gone.promise]);
    const durable = () => new Promise<Refused | null>((resolve) => outbox.whenDurable(address, entry.zone.seq, resolve));
    // Only a sound state can stand for what was lost. Without one, the next owner has what is on record.
    const isBroken = () => entry.lostFrom !== null && !entry.isSound;
    // A refusal says that events were lost; they are bridged once the outbox flows again.
    for (let isLost = true; isLost && !isBroken(); ) {
      await orGone(outbox.flowing());
      if (entry.status === 'active') {
        this.#enter(entry, 'releasing');
        turns.finish(entry);
      }
      isLost = !isBroken() && Boolean(await orGone(durable()));
    }
    await Promise.all([snapshots.take(entry, 'hot'), snapshots.take(entry, 'cold')]);
    this.drop(entry, `${address} moves to another host.`);
  }

  /** Beyond the bound, those that were used least recently go; a tenth more than must, so that not every opening looks for them. */
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

  #enter(entry: ZoneEntry, status: ZoneStatus): void {
    entry.cancelTimer();
    entry.status = status;
    this.#parts.observers.notify(({ onStatus }) => onStatus?.(entry.zone.address, status));
  }

  /** One transition of an address after another. */
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

function requireHere(entry: ZoneEntry): void {
  if (entry.isStopped) throw new Error(`${entry.zone.address} was let go of while it was opened`);
}
