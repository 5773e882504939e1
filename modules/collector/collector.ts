import { type InstrumentEvent, type InstrumentId, instrumentId, isInstrumentId, type Source, type SourceConfig } from '@millrace/contracts';
import { type Clock, type EventBatch, keyOf } from '@millrace/kernel';
import { partsOf } from './catalogue.ts';
import type { Market } from './intake.ts';
import type { SourceParts } from './source.ts';
import { Supervisor } from './supervisor.ts';

const STALE_AFTER_MS = 30_000;
const RECONNECT_MAX_MS = 30_000;

export interface CollectorOptions {
  readonly sources: readonly SourceConfig[];
  readonly market: Market;
  readonly clock: Clock;
  readonly onChange: (source: Source) => void;
  readonly onTrouble: (message: string) => void;
  /** Changes how a source is put together: how recorded frames are fed through the real protocol. */
  readonly adjust?: (config: SourceConfig, parts: SourceParts) => SourceParts;
}

/** An instrument as its source’s configuration names it. */
export interface ListedInstrument {
  readonly id: InstrumentId;
  readonly source: string;
  readonly symbol: string;
  readonly simulated: boolean;
  /** Whether its prices may be zero or below. */
  readonly negativePrices: boolean;
}

/** All sources, each under its supervisor. `open` makes them; the zones of `instruments` must be open before `start`. */
export class Collector {
  readonly instruments: readonly ListedInstrument[];
  readonly #options: CollectorOptions;
  readonly #supervisors = new Map<string, Supervisor>();

  constructor(options: CollectorOptions) {
    this.#options = options;
    const listed = new Map<InstrumentId, ListedInstrument>();
    for (const config of options.sources) {
      const { symbols, simulated } = this.#partsOf(config);
      for (const { pair, symbol } of symbols) {
        const id = instrumentId(config.id, pair);
        const negativePrices = config.negativePrices?.includes(pair) ?? false;
        listed.set(id, { id, source: config.id, symbol, simulated, negativePrices });
      }
    }
    this.instruments = [...listed.values()];
  }

  /** Begins to collect. */
  start(): void {
    const { sources, market, clock, onChange, onTrouble } = this.#options;
    for (const config of sources) {
      const parts = this.#partsOf(config);
      const instruments = new Map(parts.symbols.map(({ pair, symbol }) => [symbol, instrumentId(config.id, pair)]));
      const staleAfterMs = config.staleAfterMs ?? STALE_AFTER_MS;
      const reconnectMaxMs = config.reconnectMaxMs ?? RECONNECT_MAX_MS;
      const negativePrices = new Set((config.negativePrices ?? []).map((pair) => instrumentId(config.id, pair)));
      const watched = { id: config.id, type: config.type, parts, staleAfterMs, reconnectMaxMs, negativePrices };
      const options = { ...watched, market, clock, onChange, onTrouble };
      const supervisor = new Supervisor(options, instruments);
      this.#supervisors.set(config.id, supervisor);
      supervisor.start();
    }
  }

  stop(): void {
    for (const supervisor of this.#supervisors.values()) supervisor.stop();
  }

  sources(): Supervisor[] {
    return [...this.#supervisors.values()];
  }

  source(id: string): Supervisor | undefined {
    return this.#supervisors.get(id);
  }

  /** Reacts to what zones decided: a broken book is asked for again, and what was withdrawn counts for no later trade. */
  react(batch: EventBatch): void {
    for (const event of batch.events as unknown as readonly InstrumentEvent[]) {
      if (event.type !== 'BookBroken' && event.type !== 'InstrumentMended') continue;
      const key = keyOf(batch.zone);
      if (!isInstrumentId(key)) continue;
      for (const supervisor of this.#supervisors.values()) {
        if (!supervisor.instruments.includes(key)) continue;
        if (event.type === 'BookBroken') supervisor.resyncBook(key, event.reason);
        else supervisor.withdraw(key, event.after, event.last);
      }
    }
  }

  #partsOf(config: SourceConfig): SourceParts {
    const { market, clock, adjust } = this.#options;
    const parts = partsOf(config, market, () => clock.now());
    return adjust ? adjust(config, parts) : parts;
  }
}
