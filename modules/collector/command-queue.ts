import type { InstrumentCommand, InstrumentId, InstrumentZones } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

/** Interval of retries while a mailbox is full, ms. */
const RETRY_EVERY_MS = 5;
/** Maximum time that a zone which accepts nothing pauses a source that cannot wait, ms. A working zone makes room within milliseconds. */
const PAUSE_MS_MAX = 2_000;
/** Maximum number of waiting commands for a zone: more than one frame of 8 MiB, or one page of a history, can cause. */
const WAITING_MAX = 500_000;
/** Interval of attempts to reach a zone that has accepted nothing for too long, ms. */
const PROBE_EVERY_MS = 1_000;

export interface CommandQueueOptions {
  readonly clock: Clock;
  readonly market: Pick<InstrumentZones, 'send' | 'recordOf'>;
  /** Whether pausing the source delays its data without losing any, as for a file. Commands of such a source always wait. */
  readonly canWait?: boolean;
  /** Called when a mailbox is full: stop the delivery of frames until `onRoom` is called. */
  readonly onFull: () => void;
  readonly onRoom: () => void;
  /** The command that tells the zone of an instrument the state of the source. It is sent first after commands were lost. */
  readonly status?: () => InstrumentCommand;
  /** Called when the commands for a zone are lost from now on, because it has accepted none for too long. */
  readonly onUnreachable?: (instrument: InstrumentId) => void;
  /** Called when such a zone accepts commands again, and its record is up to date. @param lost number of lost commands */
  readonly onReachable?: (instrument: InstrumentId, lost: number) => void;
}

interface Waiting {
  commands: { readonly command: InstrumentCommand; readonly trace: string }[];
  /** When the zone accepted a command last, or the first one began to wait; ms of the monotonic clock. */
  progressAt: number;
}

/**
 * Sends commands to zones, in order for each zone. While the mailbox of a zone is full, its commands wait, and the source must pause. A zone that accepts
 * nothing for `PAUSE_MS_MAX`, because it cannot be opened for example, must not stop the others: its commands are dropped until it is open and has decided
 * what it accepted.
 */
export class CommandQueue {
  readonly #options: CommandQueueOptions;
  readonly #waiting = new Map<InstrumentId, Waiting>();
  /** Number of lost commands for each zone that accepts nothing. */
  readonly #lost = new Map<InstrumentId, number>();
  #isRetrying = false;
  #isClosed = false;

  constructor(options: CommandQueueOptions) {
    this.#options = options;
  }

  /** Number of commands that wait because the mailbox of their zone is full. */
  get size(): number {
    let size = 0;
    for (const { commands } of this.#waiting.values()) size += commands.length;
    return size;
  }

  send(instrument: InstrumentId, command: InstrumentCommand, trace: string): void {
    if (this.#isClosed) return;
    const lost = this.#lost.get(instrument);
    if (lost !== undefined) return void this.#lost.set(instrument, lost + 1);
    const waiting = this.#waiting.get(instrument);
    if (waiting) {
      waiting.commands.push({ command, trace });
      if (waiting.commands.length > WAITING_MAX) this.#giveUp(instrument, waiting);
      return;
    }
    if (this.#options.market.send(instrument, command, trace)) return;
    this.#waiting.set(instrument, { commands: [{ command, trace }], progressAt: this.#options.clock.elapsed() });
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    this.#options.onFull();
    this.#retryLater();
  }

  /** Drops the commands for a zone that is not open, until its record can be read: what follows the record is not known yet. Not for a source that can wait. */
  dropUntilSettled(instrument: InstrumentId): void {
    if (!this.#lost.has(instrument)) this.#giveUp(instrument, this.#waiting.get(instrument) ?? { commands: [], progressAt: 0 });
  }

  /** Stops sending and drops the waiting commands. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
    this.#lost.clear();
  }

  #retryLater(): void {
    const { clock, onRoom } = this.#options;
    clock.after(RETRY_EVERY_MS, () => {
      if (this.#isClosed) return;
      for (const [instrument, waiting] of this.#waiting) {
        this.#retry(instrument, waiting);
        if (waiting.commands.length === 0) this.#waiting.delete(instrument);
        else if (clock.elapsed() - waiting.progressAt >= PAUSE_MS_MAX) this.#giveUp(instrument, waiting);
      }
      if (this.#waiting.size > 0) return this.#retryLater();
      this.#isRetrying = false;
      onRoom();
    });
  }

  #retry(instrument: InstrumentId, waiting: Waiting): void {
    const { market, clock } = this.#options;
    let taken = 0;
    for (const { command, trace } of waiting.commands) {
      if (!market.send(instrument, command, trace)) break;
      taken++;
    }
    waiting.commands.splice(0, taken);
    if (taken > 0) waiting.progressAt = clock.elapsed();
  }

  /** Drops the commands for a zone from now on, until its record is settled and it accepts the status. */
  #giveUp(instrument: InstrumentId, waiting: Waiting): void {
    const { canWait = false, status, onUnreachable } = this.#options;
    if (canWait || !status) return;
    this.#waiting.delete(instrument);
    this.#lost.set(instrument, waiting.commands.length);
    onUnreachable?.(instrument);
    this.#probeLater(instrument, status);
  }

  #probeLater(instrument: InstrumentId, status: () => InstrumentCommand): void {
    const { clock, market, onReachable } = this.#options;
    clock.after(PROBE_EVERY_MS, () => {
      if (this.#isClosed) return;
      // Before it has decided what it accepted, its newest trade is not known.
      if (market.recordOf(instrument) !== 'settled' || !market.send(instrument, status(), '')) return this.#probeLater(instrument, status);
      const lost = this.#lost.get(instrument) ?? 0;
      this.#lost.delete(instrument);
      onReachable?.(instrument, lost);
    });
  }
}
