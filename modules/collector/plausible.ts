import {
  AMOUNT_MAX,
  type BookContinuity,
  type BookUpdate,
  type Candle,
  type InstrumentId,
  isFiniteDecimal,
  isPositiveDecimal,
  type Level,
  pairOf,
  type Quote,
  type Reading,
  type Trade,
  usualSign,
} from '@millrace/contracts';
import { shortened } from './shortened.ts';

/** Earliest time: the first year that ISO 8601 writes with four digits and AD counts. Epoch ms. */
const TIME_MIN = -62_135_596_800_000;
/** Latest time of an ECMAScript date, epoch ms. */
const TIME_MAX = 8.64e15;
/** Maximum length of the id of a trade, as its schema has it. */
const ID_CHARACTERS_MAX = 128;
/** Maximum length of a refused value in a detail: the remedy stands behind it. */
const VALUE_CHARACTERS_MAX = 128;

/*
 * Which values a trade, a quote, a candle or an order book can have. Each function returns what is wrong, with the value and the remedy, or null.
 * Prices are above zero, except those of instruments that `negativePrices` of their source names.
 */

/** What the check of a price needs to know of its instrument. */
export interface PriceRule {
  readonly instrument: InstrumentId;
  readonly negativePrices: boolean;
}

export function tradeProblem(trade: Trade, rule: PriceRule): string | null {
  const { id, price, quantity, time, order } = trade;
  if (typeof id !== 'string' || id.length > ID_CHARACTERS_MAX)
    return `a trade with the id ${shown(id)}; an id is a text of at most ${ID_CHARACTERS_MAX} characters`;
  if (!isFiniteDecimal(price) || !isPositiveDecimal(quantity) || !isTime(time) || !Number.isSafeInteger(order)) return told(trade);
  return mayBe(Number(price), rule) ? null : `${told(trade)}: ${remedyFor(rule)}`;
}

function told({ price, quantity, time }: Trade): string {
  return `a trade with price ${shown(price)}, quantity ${shown(quantity)}, time ${shown(time)}`;
}

/** A side whose quantity is zero is no offer: its price may be zero. */
export function quoteProblem(quote: Omit<Quote, 'time'> & { readonly time?: number }, rule: PriceRule): string | null {
  const { bid, ask, bidQuantity, askQuantity, time } = quote;
  if (isUsualOffer(bid, bidQuantity) && isUsualOffer(ask, askQuantity) && (time === undefined || isTime(time))) return null;
  if (![bid, ask, bidQuantity, askQuantity].every(isFiniteDecimal)) return `a quote with bid ${shown(bid)}, ask ${shown(ask)}`;
  if (time !== undefined && !isTime(time)) return `a quote with time ${shown(time)}`;
  const isOffered = (price: string, quantity: string) => Number(price) !== 0 || Number(quantity) !== 0;
  const isPossible = (price: string, quantity: string) => !isOffered(price, quantity) || mayBe(Number(price), rule);
  return isPossible(bid, bidQuantity) && isPossible(ask, askQuantity) ? null : `a quote with bid ${bid}, ask ${ask}: ${remedyFor(rule)}`;
}

export function candleProblem(candle: Candle, rule: PriceRule): string | null {
  if (!isCandle(candle)) return `a candle ${shown(candle)}`;
  return mayBe(candle.low, rule) ? null : `a candle ${shown(candle)}: ${remedyFor(rule)}`;
}

/** An order book, or its changes. A level whose quantity is zero is removed: its price may be zero. */
export function bookProblem({ time, bids, asks, depth, continuity }: BookUpdate, rule: PriceRule): string | null {
  if (!isTime(time)) return `an order book with time ${shown(time)}`;
  if (depth !== undefined && !(Number.isSafeInteger(depth) && depth > 0)) return `an order book with depth ${shown(depth)}`;
  if (!isContinuity(continuity)) return `an order book with the ids ${shown(continuity)}`;
  return sideProblem('bids', bids, rule) ?? sideProblem('asks', asks, rule);
}

function sideProblem(side: 'bids' | 'asks', levels: readonly Level[], rule: PriceRule): string | null {
  if (!Array.isArray(levels)) return `an order book whose ${side} are ${shown(levels)}`;
  for (const level of levels) {
    if (isUsualLevel(level)) continue;
    if (!isLevel(level)) return `an order book with ${shown(level)} in its ${side}`;
    if (Number(level[1]) !== 0 && !mayBe(Number(level[0]), rule))
      return `an order book with ${shown(level)} in its ${side}: ${remedyFor(rule)}`;
  }
  return null;
}

/** Fast path: a level of two decimals of the usual form. */
function isUsualLevel(level: unknown): boolean {
  return Array.isArray(level) && level.length === 2 && isUsualOffer(level[0], level[1]);
}

/** Whether both are decimals of the usual form, with a price above zero unless the quantity is zero. */
function isUsualOffer(price: unknown, quantity: unknown): boolean {
  const sign = usualSign(price);
  return sign === 1 ? usualSign(quantity) >= 0 : sign === 0 && usualSign(quantity) === 0;
}

function isLevel(level: unknown): level is Level {
  return Array.isArray(level) && level.length === 2 && level.every(isFiniteDecimal) && Number(level[1]) >= 0;
}

function isContinuity(continuity: BookContinuity | undefined): boolean {
  if (continuity === undefined) return true;
  for (const name in continuity) {
    const id = continuity[name as keyof BookContinuity];
    if (id !== undefined && !Number.isSafeInteger(id)) return false;
  }
  return true;
}

function shown(value: unknown): string {
  return shortened(value, VALUE_CHARACTERS_MAX);
}

export function readingProblem(reading: Reading): string | null {
  return Number.isFinite(reading.value) && isTime(reading.time) ? null : `a reading ${shown(reading)}`;
}

/** Whether a value is an epoch time in whole ms that a date can have. Venues send texts, null and seconds with decimals as well. */
function isTime(time: unknown): time is number {
  return Number.isInteger(time) && (time as number) >= TIME_MIN && (time as number) <= TIME_MAX;
}

function isCandle({ time, open, high, low, close, volume, trades }: Candle): boolean {
  const isWithin = (price: number) => price >= low && price <= high;
  const areNumbers = [open, high, low, close, volume].every(isAmount) && Number.isSafeInteger(trades);
  return isTime(time) && areNumbers && isWithin(open) && isWithin(close) && volume >= 0 && trades >= 0;
}

function isAmount(value: unknown): boolean {
  return typeof value === 'number' && Math.abs(value) <= AMOUNT_MAX;
}

function mayBe(price: number, { negativePrices }: PriceRule): boolean {
  return negativePrices || price > 0;
}

function remedyFor({ instrument }: PriceRule): string {
  const { source, base, quote } = pairOf(instrument);
  return `a price of zero or below is refused; if it is right, add "${base}-${quote}" to "negativePrices" of the source "${source}"`;
}
