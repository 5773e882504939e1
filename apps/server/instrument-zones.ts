import type { Collector, ListedInstrument } from '@millrace/collector';
import type { InstrumentId } from '@millrace/contracts';
import { messageOf, type ZoneHost, zoneAddress } from '@millrace/kernel';

/** When a zone that could not be opened is tried again. */
const OPEN_AGAIN_MS = 2_000;

/**
 * Opens the zones of instruments. One that cannot be opened now, because the disk is full, say, keeps nobody from the others: it is tried again until it is
 * open.
 */
export class InstrumentZones {
  readonly #host: ZoneHost;
  readonly #onFailure: (message: string) => void;
  readonly #waiting = new Set<NodeJS.Timeout>();
  #isOver = false;

  constructor(host: ZoneHost, onFailure: (message: string) => void) {
    this.#host = host;
    this.#onFailure = onFailure;
  }

  /** Those that sources name, and those on record that a pattern may take again: their record says their symbols. */
  async openAll({ instruments, recorded }: Collector): Promise<void> {
    for (const listed of instruments) await this.#open(listed.id, () => this.#list(listed));
    for (const id of recorded) await this.#open(id, () => this.#markStale(id));
  }

  /** Opens the zone of an instrument that a pattern has taken: it takes commands at once, those about its listing first. */
  take(listed: ListedInstrument): void {
    const opening = this.#host.open(zoneAddress('instrument', listed.id));
    this.#list(listed);
    this.#host.send(zoneAddress('instrument', listed.id), { type: 'MarkLive', time: Date.now() });
    opening.catch((error: unknown) => this.#again(listed.id, error, () => this.take(listed)));
  }

  /** Ends the attempts. */
  stop(): void {
    this.#isOver = true;
    for (const timer of this.#waiting) clearTimeout(timer);
  }

  async #open(id: InstrumentId, begin: () => void): Promise<void> {
    try {
      await this.#host.open(zoneAddress('instrument', id));
    } catch (error) {
      this.#again(id, error, () => void this.#open(id, begin));
      return;
    }
    begin();
  }

  #again(id: InstrumentId, error: unknown, attempt: () => void): void {
    this.#onFailure(`${zoneAddress('instrument', id)} cannot be opened now, trying again in ${OPEN_AGAIN_MS} ms: ${messageOf(error)}`);
    if (this.#isOver) return;
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      attempt();
    }, OPEN_AGAIN_MS);
    this.#waiting.add(timer);
  }

  #list({ id, ...listing }: ListedInstrument): void {
    this.#host.send(zoneAddress('instrument', id), { type: 'ListInstrument', ...listing });
    this.#markStale(id);
  }

  #markStale(id: InstrumentId): void {
    this.#host.send(zoneAddress('instrument', id), { type: 'MarkStale', reason: 'the source is connecting', time: Date.now() });
  }
}
