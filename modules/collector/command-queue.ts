import type { InstrumentCommand, InstrumentId, InstrumentZones } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

/** Interval of retries while a mailbox is full, ms. */
const RETRY_EVERY_MS = 5;

export interface CommandQueueOptions {
  readonly clock: Clock;
  readonly market: Pick<InstrumentZones, 'send'>;
  /** Called when a mailbox is full: stop the delivery of frames until `onRoom` is called. */
  readonly onFull: () => void;
  readonly onRoom: () => void;
}

/** Sends commands to zones, in order. While the mailbox of a zone is full, commands wait, and the source must pause. */
export class CommandQueue {
  readonly #options: CommandQueueOptions;
  #waiting: { readonly instrument: InstrumentId; readonly command: InstrumentCommand; readonly trace: string }[] = [];
  #isClosed = false;

  constructor(options: CommandQueueOptions) {
    this.#options = options;
  }

  /** Number of commands that wait because the mailbox of their zone is full. */
  get size(): number {
    return this.#waiting.length;
  }

  send(instrument: InstrumentId, command: InstrumentCommand, trace: string): void {
    if (this.#isClosed) return;
    if (this.#waiting.length === 0 && this.#options.market.send(instrument, command, trace)) return;
    this.#waiting.push({ instrument, command, trace });
    if (this.#waiting.length > 1) return;
    this.#options.onFull();
    this.#retryLater();
  }

  /** Stops sending and drops the waiting commands. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
  }

  #retryLater(): void {
    this.#options.clock.after(RETRY_EVERY_MS, () => {
      if (this.#isClosed) return;
      let taken = 0;
      for (const { instrument, command, trace } of this.#waiting) {
        if (!this.#options.market.send(instrument, command, trace)) break;
        taken++;
      }
      this.#waiting.splice(0, taken);
      if (this.#waiting.length > 0) return this.#retryLater();
      this.#options.onRoom();
    });
  }
}
