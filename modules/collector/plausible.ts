import {
  type Candle,
  type InstrumentId,
  isDecimal,
  isFiniteDecimal,
  isPositiveDecimal,
  pairOf,
  type Quote,
  type Trade,
} from '@millrace/contracts';

/*
 * Which values a trade, a quote or a candle can have. Each function returns what is wrong, with the value and the remedy, or null.
 * Prices are above zero, except those of instruments that `negativePrices` of their source names.
 */

/** What the check of a price needs to know of its instrument. */
export interface PriceRule {
  readonly instrument: InstrumentId;
  readonly negativePrices: boolean;
}

export function tradeProblem({ price, quantity, time, order }: Trade, rule: PriceRule): string | null {
  const told = `a trade with price ${price}, quantity ${quantity}, time ${time}`;
  if (!isFiniteDecimal(price) || !isPositiveDecimal(quantity) || !isTime(time) || !Number.isSafeInteger(order)) return told;
  return mayBe(Number(price), rule) ? null : `${told}: ${remedyFor(rule)}`;
}

/** A side whose quantity is zero is no offer: its price may be zero. */
export function quoteProblem(quote: Omit<Quote, 'time'> & { readonly time?: number }, rule: PriceRule): string | null {
  const { bid, ask, bidQuantity, askQuantity, time } = quote;
  if (!isDecimal(bid) || !isDecimal(ask) || !isDecimal(bidQuantity) || !isDecimal(askQuantity))
    return `a quote with bid ${bid}, ask ${ask}`;
  if (time !== undefined && !isTime(time)) return `a quote with time ${time}`;
  const isOffered = (price: string, quantity: string) => Number(price) !== 0 || Number(quantity) !== 0;
  const isPossible = (price: string, quantity: string) => !isOffered(price, quantity) || mayBe(Number(price), rule);
  return isPossible(bid, bidQuantity) && isPossible(ask, askQuantity) ? null : `a quote with bid ${bid}, ask ${ask}: ${remedyFor(rule)}`;
}

export function candleProblem(candle: Candle, rule: PriceRule): string | null {
  if (!isCandle(candle)) return `a candle ${JSON.stringify(candle)}`;
  return mayBe(candle.low, rule) ? null : `a candle ${JSON.stringify(candle)}: ${remedyFor(rule)}`;
}

/** Epoch ms that a date can have. */
export function isTime(time: number): boolean {
  return Math.abs(time) <= 8.64e15;
}

function isCandle({ time, open, high, low, close, volume }: Candle): boolean {
  const isWithin = (price: number) => price >= low && price <= high;
  return isTime(time) && [open, high, low, close, volume].every(Number.isFinite) && isWithin(open) && isWithin(close) && volume >= 0;
}

function mayBe(price: number, { negativePrices }: PriceRule): boolean {
  return negativePrices || price > 0;
}

function remedyFor({ instrument }: PriceRule): string {
  const { source, base, quote } = pairOf(instrument);
  return `a price of zero or below is refused; if it is right, add "${base}-${quote}" to "negativePrices" of the source "${source}"`;
}
