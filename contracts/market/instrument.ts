import { Type } from 'typebox';

declare const instrumentBrand: unique symbol;

/** `venue:BASE-QUOTE`, for example `binance:BTC-USDT` or `upbit:LAMB-KRW`. */
export type InstrumentId = string & { readonly [instrumentBrand]: true };

const INSTRUMENT_PATTERN = '^[a-z0-9][a-z0-9-]{0,31}:[A-Z0-9][A-Z0-9._]{0,31}-[A-Z0-9][A-Z0-9._]{0,31}$';
const instrument = new RegExp(INSTRUMENT_PATTERN);

export const InstrumentId = Type.Unsafe<InstrumentId>(
  Type.String({
    pattern: INSTRUMENT_PATTERN,
    description: 'Id of an instrument: source id, colon, base currency, hyphen, quote currency.',
    examples: ['binance:BTC-USDT', 'upbit:LAMB-KRW'],
  }),
);

/** `BASE-QUOTE`: the part of an instrument id that the configuration of a source lists. */
export const PairName = Type.String({
  pattern: '^[A-Z0-9][A-Z0-9._]{0,31}-[A-Z0-9][A-Z0-9._]{0,31}$',
  description: 'Base and quote currency in upper case, joined by a hyphen.',
  examples: ['BTC-USDT', 'BTC-KRW'],
});

/** True if a value is a valid instrument id. */
export function isInstrumentId(text: unknown): text is InstrumentId {
  return typeof text === 'string' && instrument.test(text);
}

/** Builds an instrument id from validated parts. Throws a TypeError on an invalid id, which is a programming error. */
export function instrumentId(source: string, pair: string): InstrumentId {
  const id = `${source}:${pair}`;
  if (!isInstrumentId(id)) throw new TypeError(`"${id}" is not a valid instrument id: use venue:BASE-QUOTE`);
  return id;
}

/** Splits an instrument id into its source, base currency and quote currency. */
export function pairOf(id: InstrumentId): { source: string; base: string; quote: string } {
  const colon = id.indexOf(':');
  const hyphen = id.lastIndexOf('-');
  return { source: id.slice(0, colon), base: id.slice(colon + 1, hyphen), quote: id.slice(hyphen + 1) };
}
