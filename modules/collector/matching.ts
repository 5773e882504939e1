import { type InstrumentId, instrumentId, isInstrumentId, type Matching, type SourceConfig } from '@millrace/contracts';
import { shortened } from './shortened.ts';

/** Longer symbols are rejected before matching: a pattern may take long on a long text. */
const SYMBOL_CHARACTERS_MAX = 64;
const INSTRUMENTS_USUAL = 100;

/** Result for a symbol that no mapping lists: a new instrument, or the reason of its rejection. */
export type Matched = { readonly instrument: InstrumentId } | { readonly reason: string; readonly detail: string };

/** Accepts instruments by pattern. Null when no mapping of the source has a pattern. */
export function matcherOf(config: SourceConfig): Matcher | null {
  if (config.type !== 'websocket' && config.type !== 'http-poll') return null;
  const rules = config.map.flatMap(({ matching }) => matching ?? []);
  return rules.length > 0 ? new Matcher(config.id, rules) : null;
}

/** Result for a symbol that is not listed, of a source without a pattern. */
export function unlisted(symbol: string): Matched {
  const detail = `"${shortened(symbol, SYMBOL_CHARACTERS_MAX)}" is not an instrument of this source`;
  return { reason: 'unknown-symbol', detail };
}

export class Matcher {
  readonly #source: string;
  readonly #rules: readonly { readonly symbol: RegExp; readonly pair: string }[];
  readonly #instrumentsMax: number;
  /** The accepted instruments with their symbols. */
  readonly #taken = new Map<InstrumentId, string>();

  constructor(source: string, rules: readonly Matching[]) {
    this.#source = source;
    this.#rules = rules.map(({ symbol, pair }) => ({ symbol: new RegExp(`^(?:${symbol})$`), pair }));
    this.#instrumentsMax = Math.max(...rules.map(({ instrumentsMax }) => instrumentsMax ?? INSTRUMENTS_USUAL));
  }

  get instrumentsMax(): number {
    return this.#instrumentsMax;
  }

  /** Accepts the instrument of a symbol, unless the limit is reached or another symbol has the instrument. */
  take(symbol: string): Matched {
    const found = this.#idOf(symbol);
    if (typeof found !== 'string') return found;
    const other = this.#taken.get(found);
    if (other !== undefined && other !== symbol)
      return { reason: 'unknown-symbol', detail: `"${symbol}" is the pair of "${other}", which has been taken already` };
    if (other === undefined && this.#taken.size >= this.#instrumentsMax)
      return {
        reason: 'too-many-instruments',
        detail: `"${symbol}" matches, but ${this.#taken.size} instruments have been taken: raise "instrumentsMax" of the mapping, or narrow its pattern`,
      };
    this.#taken.set(found, symbol);
    return { instrument: found };
  }

  #idOf(symbol: string): InstrumentId | Extract<Matched, { reason: string }> {
    const shown = symbol.slice(0, SYMBOL_CHARACTERS_MAX);
    if (symbol.length <= SYMBOL_CHARACTERS_MAX)
      for (const rule of this.#rules) {
        const match = rule.symbol.exec(symbol);
        if (!match) continue;
        const pair = rule.pair.replace(/\$(\d)/g, (_all, group: string) => match[Number(group)] ?? '').toUpperCase();
        if (isInstrumentId(`${this.#source}:${pair}`)) return instrumentId(this.#source, pair);
        return { reason: 'unknown-symbol', detail: `"${shown}" matches, but its pair "${pair}" does not read BASE-QUOTE` };
      }
    return { reason: 'unknown-symbol', detail: `"${shown}" is not an instrument of this source, and matches no pattern` };
  }
}
