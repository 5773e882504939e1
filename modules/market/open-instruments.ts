import type { InstrumentCommand, InstrumentId, ListedInstrument } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import type { Zones } from '@millrace/topics';
import type { Instrument } from './instrument.ts';

/** Delay before a zone that could not be opened is retried, ms. */
const OPEN_AGAIN_MS = 2_000;

/** Opens the zones of instruments. One that cannot be opened now, on a full disk for example, does not delay the others: it is retried until it is open. */
export class InstrumentOpener {
  readonly #zones: Pick<Zones<Instrument, InstrumentCommand>, 'open' | 'send'>;
  readonly #onFailure: (message: string) => void;
  readonly #waiting = new Set<NodeJS.Timeout>();
  readonly #unopened = new Set<InstrumentId>();
  #isStopped = false;

  constructor(zones: Pick<Zones<Instrument, InstrumentCommand>, 'open' | 'send'>, onFailure: (message: string) => void) {
    this.#zones = zones;
    this.#onFailure = onFailure;
  }

  /** @param recorded in the store, and matched by a pattern before; their record has their symbols */
  async openAll(listed: readonly ListedInstrument[], recorded: readonly InstrumentId[]): Promise<void> {
    for (const one of listed) await this.#open(one.id, () => this.#list(one));
    for (const id of recorded) await this.#open(id, () => this.#markStale(id));
  }

  /** Opens the zone of an instrument that a pattern matched. The commands about its listing come first. */
  add(listed: ListedInstrument): void {
    this.#unopened.add(listed.id);
    void this.#open(listed.id, () => {
      this.#list(listed);
      this.#zones.send(listed.id, { type: 'MarkLive', time: Date.now() });
    });
  }

  /**
   * Whether a zone is not open yet, because it is being added or its opening has failed. It must get no commands: the zone would accept them during an
   * attempt, and lose them when that fails.
   */
  isUnopened(id: InstrumentId): boolean {
    return this.#unopened.has(id);
  }

  /** Ends the retries. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#waiting) clearTimeout(timer);
  }

  async #open(id: InstrumentId, begin: () => void): Promise<void> {
    try {
      await this.#zones.open(id);
    } catch (error) {
      this.#retry(id, error, () => void this.#open(id, begin));
      return;
    }
    begin();
    this.#unopened.delete(id);
  }

  #retry(id: InstrumentId, error: unknown, attempt: () => void): void {
    this.#unopened.add(id);
    this.#onFailure(`instrument ${id} cannot be opened now, trying again in ${OPEN_AGAIN_MS} ms: ${messageOf(error)}`);
    if (this.#isStopped) return;
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      attempt();
    }, OPEN_AGAIN_MS);
    this.#waiting.add(timer);
  }

  #list({ id, ...listing }: ListedInstrument): void {
    this.#zones.send(id, { type: 'ListInstrument', ...listing });
    this.#markStale(id);
  }

  #markStale(id: InstrumentId): void {
    this.#zones.send(id, { type: 'MarkStale', reason: 'the source is connecting', time: Date.now() });
  }
}
