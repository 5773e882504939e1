import { type EventBatch, lastSeqOf } from './batch.ts';
import { messageOf } from './deadline.ts';
import { refused } from './definition.ts';
import type { HostOptions } from './host-options.ts';
import type { Observers } from './observers.ts';
import type { Outbox } from './outbox.ts';
import { startTicks, type TickDelay } from './ticks.ts';
import type { ZoneEntry } from './zone-entry.ts';

/** Commands a zone may take in one turn before the others have theirs, and all zones together before I/O has its turn. */
const TURN_COMMANDS_MAX = 512;
const TURN_TOTAL_MAX = 8_192;

/** Lets zones decide: a turn lets every zone that has commands decide a bounded number, then hands all new events on at once. */
export class Turns {
  readonly #options: HostOptions;
  readonly #outbox: Outbox;
  readonly #observers: Observers;
  /** The zone threw, and must be rebuilt. */
  readonly #onFailed: (entry: ZoneEntry, error: unknown) => void;
  /** Zones that wait for their part of a turn. */
  readonly #ready = new Set<ZoneEntry>();
  #isDue = false;
  #tickers = 0;
  readonly counts = { turns: 0, decidedCommands: 0 };

  constructor(options: HostOptions, outbox: Outbox, observers: Observers, onFailed: (entry: ZoneEntry, error: unknown) => void) {
    this.#options = options;
    this.#outbox = outbox;
    this.#observers = observers;
    this.#onFailed = onFailed;
  }

  /** Gives a zone its part of the next turn, if it decides and has commands. */
  schedule(entry: ZoneEntry): void {
    if (!entry.isSound || entry.mailbox.length === 0) return;
    this.#ready.add(entry);
    this.#callTurn();
  }

  /** Starts the ticks of a zone that has any. */
  startTicks(entry: ZoneEntry): void {
    const { definition } = entry.zone;
    if (definition.tick && definition.tickMs)
      entry.cancelTimer = startTicks(this.#options.clock, definition.tickMs, this.#tickers++, (now, delay) =>
        this.#tick(entry, now, delay),
      );
  }

  /** Decides everything that waits at a zone. */
  finish(entry: ZoneEntry): void {
    while (entry.isSound && entry.mailbox.length > 0) this.#turn();
  }

  /** Decides everything that waits at any zone. */
  finishAll(): void {
    while (this.#ready.size > 0) this.#turn();
  }

  #callTurn(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#options.clock.soon(() => {
      this.#isDue = false;
      this.#turn();
    });
  }

  #turn(): void {
    this.counts.turns++;
    const { clock, turnCommandsMax = TURN_COMMANDS_MAX, turnTotalMax = TURN_TOTAL_MAX } = this.#options;
    const now = clock.now();
    const batches: EventBatch[] = [];
    const ready = this.#ready.values();
    let left = turnTotalMax;
    // Zones that get work meanwhile have the next turn.
    for (let zones = this.#ready.size; zones > 0 && left > 0; zones--) {
      const entry = ready.next().value as ZoneEntry;
      this.#ready.delete(entry);
      left -= this.#decide(entry, now, Math.min(left, turnCommandsMax));
      this.#collect(entry, now, batches);
      this.schedule(entry);
    }
    this.#outbox.push(batches);
    if (this.#ready.size > 0) this.#callTurn();
  }

  /** @returns commands decided */
  #decide(entry: ZoneEntry, now: number, budget: number): number {
    const { zone, mailbox } = entry;
    const commands = entry.isSound ? mailbox.splice(0, budget) : [];
    let decided = 0;
    for (const { command, meta, answer } of commands) {
      decided++;
      try {
        if (answer === null && meta?.id === undefined) zone.decide(command, meta, now);
        else {
          const reply = zone.handle(command, meta, now);
          answer?.(reply);
        }
      } catch (error) {
        // Those behind it wait until the zone is back.
        mailbox.unshift(...commands.slice(decided));
        this.#onFailed(entry, error);
        answer?.(refused('ZONE_FAILED', messageOf(error)));
        break;
      }
    }
    this.counts.decidedCommands += decided;
    return decided;
  }

  #tick(entry: ZoneEntry, now: number, delay: TickDelay): void {
    const { zone } = entry;
    const { clock } = this.#options;
    const started = clock.elapsed();
    try {
      zone.tick(now);
    } catch (error) {
      this.#onFailed(entry, error);
    }
    const batches: EventBatch[] = [];
    this.#collect(entry, now, batches);
    this.#outbox.push(batches);
    const stats = { zone: zone.address, ms: clock.elapsed() - started, ...delay };
    this.#observers.notify(({ onTick }) => onTick?.(stats));
  }

  #collect(entry: ZoneEntry, now: number, batches: EventBatch[]): void {
    const { zone } = entry;
    const batch = zone.takeBatch(now);
    if (!batch) return;
    batches.push(batch);
    this.#observers.publish(entry, ({ onDecided }) => {
      // What was lost before it could be published is no part of what the zone came back as.
      if (lastSeqOf(batch) <= zone.seq) onDecided?.(batch, zone.state);
    });
  }
}
