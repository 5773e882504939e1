import { type EventBatch, lastSeqOf } from './batch.ts';
import { refused } from './command.ts';
import { messageOf } from './deadline.ts';
import { type HostParts, hasLease, ISOLATED, isIsolated } from './host-parts.ts';
import { startTicks, type TickDelay } from './ticks.ts';
import type { ZoneEntry, ZoneOutbox } from './zone-entry.ts';

/** Commands of one zone in one turn, so that the other zones get their share. */
const TURN_COMMANDS_MAX = 512;
/** Commands of all zones in one turn, so that I/O gets its share. */
const TURN_TOTAL_MAX = 8_192;
/** Interval at which a host without a lease checks whether it has one again, ms. */
const LEASE_CHECK_MS = 100;

type Parts = Pick<HostParts, 'options' | 'observers' | 'onFailed'>;

/** Runs turns. A turn lets each zone with commands decide a bounded number, then pushes all new events to the outboxes of their shards at once. */
export class Turns {
  readonly #parts: Parts;
  /** Zones that wait for their part of a turn. */
  readonly #ready = new Set<ZoneEntry>();
  #isDue = false;
  #tickers = 0;
  readonly counts = { turns: 0, decidedCommands: 0 };

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Adds a zone to the next turn, if it is sound and has commands. */
  schedule(entry: ZoneEntry): void {
    if (!entry.isSound || entry.mailbox.length === 0) return;
    this.#ready.add(entry);
    this.#callTurn();
  }

  /** Starts the ticks of a zone whose definition has them. */
  startTicks(entry: ZoneEntry): void {
    const { tick, tickMs } = entry.zone.definition;
    const step = (now: number, delay: TickDelay) => this.#tick(entry, now, delay);
    if (tick && tickMs) entry.cancelTimer = startTicks(this.#parts.options.clock, tickMs, this.#tickers++, step);
  }

  /** Decides all commands that wait at a zone, before it returns. */
  finish(entry: ZoneEntry): void {
    while (entry.isSound && entry.mailbox.length > 0 && hasLease(this.#parts.options)) this.#turn();
  }

  /** Decides all commands that wait at any zone, before it returns. */
  finishAll(): void {
    while (this.#ready.size > 0 && hasLease(this.#parts.options)) this.#turn();
  }

  #callTurn(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#parts.options.clock.soon(() => {
      this.#isDue = false;
      this.#turn();
    });
  }

  /** Without a lease another host may own the zones: commands wait until the zones are abandoned, or the lease is extended. */
  #callTurnLater(): void {
    for (const entry of this.#ready) if (!entry.isSound || entry.mailbox.length === 0) this.#ready.delete(entry);
    if (this.#isDue || this.#ready.size === 0) return;
    this.#isDue = true;
    this.#parts.options.clock.after(LEASE_CHECK_MS, () => {
      this.#isDue = false;
      this.#turn();
    });
  }

  #turn(): void {
    const { options } = this.#parts;
    if (!hasLease(options)) return this.#callTurnLater();
    this.counts.turns++;
    const { clock, turnCommandsMax = TURN_COMMANDS_MAX, turnTotalMax = TURN_TOTAL_MAX } = options;
    const [now, elapsed] = [clock.now(), clock.elapsed()];
    const decided = new Map<ZoneOutbox, EventBatch[]>();
    const ready = this.#ready.values();
    let left = turnTotalMax;
    // Zones that get commands during this turn wait for the next one.
    for (let zones = this.#ready.size; zones > 0 && left > 0; zones--) {
      const entry = ready.next().value as ZoneEntry;
      this.#ready.delete(entry);
      if (isIsolated(entry, options)) {
        entry.replyToAll(ISOLATED);
        continue;
      }
      const time = entry.zone.time.at(now, elapsed);
      left -= this.#decide(entry, time, Math.min(left, turnCommandsMax));
      const batch = this.#takeEvents(entry, time);
      const { outbox } = entry.shard;
      const batches = decided.get(outbox);
      if (batch && batches) batches.push(batch);
      else if (batch) decided.set(outbox, [batch]);
      this.schedule(entry);
    }
    for (const [outbox, batches] of decided) outbox.push(batches);
    if (this.#ready.size > 0) this.#callTurn();
  }

  /** Decides up to `budget` commands of a zone. @returns number of commands decided, a failed one included */
  #decide(entry: ZoneEntry, now: number, budget: number): number {
    const { zone, mailbox } = entry;
    const commands = entry.isSound ? mailbox.splice(0, budget) : [];
    let decided = 0;
    for (const { command, meta, onReply } of commands) {
      decided++;
      try {
        if (onReply === null && meta?.id === undefined && meta?.source === undefined) zone.decide(command, meta, now);
        else {
          const reply = zone.handle(command, meta, now);
          onReply?.(reply);
        }
      } catch (error) {
        // The commands after the failed one wait until the zone is active again.
        mailbox.unshift(...commands.slice(decided));
        this.#parts.onFailed(entry, error);
        onReply?.(refused('ZONE_FAILED', messageOf(error)));
        break;
      }
    }
    this.counts.decidedCommands += decided;
    return decided;
  }

  #tick(entry: ZoneEntry, due: number, delay: TickDelay): void {
    const { options } = this.#parts;
    const { clock } = options;
    if (!hasLease(options) || isIsolated(entry, options)) return;
    const started = clock.elapsed();
    const now = entry.zone.time.at(due, started);
    try {
      entry.zone.tick(now);
    } catch (error) {
      this.#parts.onFailed(entry, error);
    }
    const batch = this.#takeEvents(entry, now);
    if (batch) entry.shard.outbox.push([batch]);
    this.#parts.observers.notify(({ onTick }) => onTick?.({ zone: entry.zone.address, ms: clock.elapsed() - started, ...delay }));
  }

  /** Publishes the new events of a zone to observers. @returns their batch; null without new events */
  #takeEvents(entry: ZoneEntry, now: number): EventBatch | null {
    const { zone } = entry;
    const batch = zone.takeBatch(now);
    if (!batch) return null;
    const { isSound } = entry;
    this.#parts.observers.publish(entry, ({ onDecided }) => {
      // A batch that was lost before it could be published is not part of the recovered state.
      if (isSound || lastSeqOf(batch) <= entry.recoveredSeq) onDecided?.(batch, zone.state);
    });
    return batch;
  }
}
