import { Type } from 'typebox';

declare const instrumentBrand: unique symbol;

/** `venue:BASE-QUOTE`, for example `binance:BTC-USDT` or `upbit:LAMB-KRW`. */
export type InstrumentId = string & { readonly [instrumentBrand]: true };

const INSTRUMENT_PATTERN = '^[a-z0-9][a-z0-9-]{0,31}:[A-Z0-9][A-Z0-9._]{0,31}-[A-Z0-9][A-Z0-9._]{0,31}$';
const instrument = new RegExp(INSTRUMENT_PATTERN);

export const InstrumentId = Type.Unsafe<InstrumentId>(
  Type.String({
    pattern: INSTRUMENT_PATTERN,
    description: 'An instrument: the id of its source, a colon, base and quote currency.',
    examples: ['binance:BTC-USDT', 'upbit:LAMB-KRW'],
  }),
);

/** `BASE-QUOTE`, the part of an instrument's id that a source's configuration lists. */
export const PairName = Type.String({
  pattern: '^[A-Z0-9][A-Z0-9._]{0,31}-[A-Z0-9][A-Z0-9._]{0,31}$',
  description: 'Base and quote currency in capitals, with a hyphen between them.',
  examples: ['BTC-USDT', 'BTC-KRW'],
});

export function isInstrumentId(text: unknown): text is InstrumentId {
  return typeof text === 'string' && instrument.test(text);
}

/** The one place where an instrument's id is put together; asserts, because its parts were checked at the door. */
export function instrumentId(source: string, pair: string): InstrumentId {
  const id = `${source}:${pair}`;
  if (!isInstrumentId(id)) throw new TypeError(`"${id}" is no instrument id; it reads venue:BASE-QUOTE`);
  return id;
}

export function pairOf(id: InstrumentId): { source: string; base: string; quote: string } {
  const colon = id.indexOf(':');
  const hyphen = id.lastIndexOf('-');
  return { source: id.slice(0, colon), base: id.slice(colon + 1, hyphen), quote: id.slice(hyphen + 1) };
}
