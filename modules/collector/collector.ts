import { UserError } from '@millrace/base/user-error';
import {
  type InstrumentEvent,
  type InstrumentId,
  type InstrumentZones,
  instrumentId,
  type ListedInstrument,
  type Source,
  type SourceConfig,
} from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import { partsOf } from './catalogue.ts';
import { type Matched, type Matcher, matcherOf } from './matching.ts';
import type { SourceParts } from './source.ts';
import { Supervisor } from './supervisor.ts';
import type { Venues } from './venue.ts';

const STALE_AFTER_MS = 30_000;
const RECONNECT_MAX_MS = 30_000;

export interface CollectorOptions {
  readonly sources: readonly SourceConfig[];
  readonly market: InstrumentZones;
  readonly clock: Clock;
  readonly onChange: (source: Source) => void;
  readonly onFailure: (message: string) => void;
  /** Recorded instruments of a source with their symbols. Those accepted by pattern are accepted again. */
  readonly recorded?: (source: string) => readonly InstrumentId[];
  readonly symbolOf?: (instrument: InstrumentId) => string | undefined;
  /** Called for an instrument that was accepted by pattern. Must open its zone; commands for it may be sent when this returns. */
  readonly onInstrument?: (listed: ListedInstrument) => void;
  /** Venues in addition to those of Millrace, by source type. */
  readonly venues?: Venues;
  /** Replaces parts of a source: a replay feeds recorded frames through the real protocol. */
  readonly adjust?: (config: SourceConfig, parts: SourceParts) => SourceParts;
}

/** All sources, each with its supervisor. The zones of `instruments` must be open before `start`. */
export class Collector {
  readonly #listed = new Map<InstrumentId, ListedInstrument>();
  /** Recorded instruments that a pattern may accept again. Their symbols are known when their zones are open. */
  readonly recorded: readonly InstrumentId[];
  readonly #options: CollectorOptions;
  readonly #supervisors = new Map<string, Supervisor>();

  constructor(options: CollectorOptions) {
    this.#options = options;
    const recorded: InstrumentId[] = [];
    for (const config of options.sources) {
      const { symbols, simulated } = this.#partsOf(config);
      requireUniqueSymbols(config.id, symbols);
      for (const { pair, symbol } of symbols) {
        const id = instrumentId(config.id, pair);
        const negativePrices = config.negativePrices?.includes(pair) ?? false;
        this.#listed.set(id, { id, source: config.id, symbol, simulated, negativePrices });
      }
      const matcher = matcherOf(config);
      const ofRecord = matcher ? (options.recorded?.(config.id) ?? []) : [];
      recorded.push(...ofRecord.filter((id) => !this.#listed.has(id)).slice(0, matcher?.instrumentsMax));
    }
    this.recorded = recorded;
  }

  get instruments(): readonly ListedInstrument[] {
    return [...this.#listed.values()];
  }

  /** Starts all sources. */
  start(): void {
    const { sources, market, clock, onChange, onFailure } = this.#options;
    for (const config of sources) {
      const parts = this.#partsOf(config);
      const instruments = new Map(parts.symbols.map(({ pair, symbol }) => [symbol, instrumentId(config.id, pair)]));
      const matcher = matcherOf(config);
      const match = matcher && ((symbol: string) => this.#take(config, matcher, symbol));
      if (matcher)
        for (const id of this.recorded) {
          const symbol = id.startsWith(`${config.id}:`) ? this.#options.symbolOf?.(id) : undefined;
          const matched = symbol !== undefined && matcher.take(symbol);
          if (!matched || !('instrument' in matched) || matched.instrument !== id) continue;
          instruments.set(symbol, id);
          this.#list(config, id, symbol);
        }
      const staleAfterMs = config.staleAfterMs ?? STALE_AFTER_MS;
      const reconnectMaxMs = config.reconnectMaxMs ?? RECONNECT_MAX_MS;
      const negativePrices = new Set((config.negativePrices ?? []).map((pair) => instrumentId(config.id, pair)));
      const watched = { id: config.id, type: config.type, parts, staleAfterMs, reconnectMaxMs, negativePrices, match };
      const options = { ...watched, market, clock, onChange, onFailure };
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

  /** Reacts to events of an instrument: requests a broken book again, and forgets withdrawn trades. */
  react(instrument: InstrumentId, events: readonly { readonly type: string }[]): void {
    for (const event of events as readonly InstrumentEvent[]) {
      if (event.type !== 'BookBroken' && event.type !== 'InstrumentMended') continue;
      for (const supervisor of this.#supervisors.values()) {
        if (!supervisor.instruments.includes(instrument)) continue;
        if (event.type === 'BookBroken') supervisor.resyncBook(instrument, event.reason);
        else supervisor.withdraw(instrument, event.after, event.last);
      }
    }
  }

  #take(config: SourceConfig, matcher: Matcher, symbol: string): Matched {
    const matched = matcher.take(symbol);
    if ('instrument' in matched) this.#options.onInstrument?.(this.#list(config, matched.instrument, symbol));
    return matched;
  }

  #list(config: SourceConfig, id: InstrumentId, symbol: string): ListedInstrument {
    const negativePrices = config.negativePrices?.some((pair) => id === `${config.id}:${pair}`) ?? false;
    const listed = { id, source: config.id, symbol, simulated: false, negativePrices };
    this.#listed.set(id, listed);
    return listed;
  }

  #partsOf(config: SourceConfig): SourceParts {
    const { market, clock, venues, adjust } = this.#options;
    const parts = partsOf(config, market, () => clock.now(), venues);
    return adjust ? adjust(config, parts) : parts;
  }
}

/** @throws UserError when two pairs of a source have one symbol: one of them would never get data */
function requireUniqueSymbols(source: string, symbols: SourceParts['symbols']): void {
  const pairs = new Map<string, string>();
  for (const { pair, symbol } of symbols) {
    const other = pairs.get(symbol) ?? pair;
    if (other !== pair)
      throw new UserError(
        `The pairs "${other}" and "${pair}" of the source "${source}" have the same symbol "${symbol}".`,
        'Remove one of them, or put it into another source.',
      );
    pairs.set(symbol, pair);
  }
}
