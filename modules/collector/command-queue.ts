import type { InstrumentCommand, InstrumentId, InstrumentZones } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

/** How often a full zone is asked again. */
const RETRY_EVERY_MS = 5;

export interface CommandQueueOptions {
  readonly clock: Clock;
  readonly market: Pick<InstrumentZones, 'send'>;
  /** Zones are full: no more frames, until everything that waits is taken. */
  readonly onFull: () => void;
  readonly onRoom: () => void;
}

/** Sends commands to zones, in order. While a zone is full, commands wait; the source has to stop sending meanwhile. */
export class CommandQueue {
  readonly #options: CommandQueueOptions;
  #waiting: { readonly instrument: InstrumentId; readonly command: InstrumentCommand; readonly trace: string }[] = [];
  #isClosed = false;

  constructor(options: CommandQueueOptions) {
    this.#options = options;
  }

  /** Commands that wait because their zone is full. */
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

  /** Sends nothing any more; what waits is dropped. */
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
