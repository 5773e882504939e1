import { Type } from 'typebox';

/**
 * A decimal number exactly as the venue sent it. Prices and quantities stay strings from the wire to the archive, so that
 * `127.0` never becomes `127` and 18 decimals never become 16. Arithmetic (candles) uses doubles.
 */
export type Decimal = string;

const DECIMAL_PATTERN = '^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$';

export const Decimal = Type.String({
  pattern: DECIMAL_PATTERN,
  maxLength: 64,
  description: 'Decimal number as a string, exactly as the venue sent it.',
  examples: ['0.35280000', '127.0', '1E-7'],
});

/** Decimal string of a computed number (candle, sum) with 15 significant digits. More would show rounding errors of doubles. */
export function decimalOf(value: number): Decimal {
  return String(Number(value.toPrecision(15)));
}

const decimal = new RegExp(DECIMAL_PATTERN);

/** True for a decimal string of at most 64 characters. */
export function isDecimal(text: unknown): text is Decimal {
  return typeof text === 'string' && text.length <= 64 && decimal.test(text);
}

/** Largest price or quantity. Beyond it, sums of many (volumes, means) would leave the range in which doubles are useful. */
export const AMOUNT_MAX = 1e24;

/** Maximum length of a decimal of the usual form; it is below `AMOUNT_MAX`. */
const USUAL_CHARACTERS_MAX = 24;
const ZERO = 48;
const POINT = 46;

/**
 * Sign of a decimal of the usual form, without minus and exponent, of at most 24 characters: 0 or 1. -1 for every other text, which may be a decimal, too.
 * Faster than a regular expression and a conversion: order books have very many decimals.
 */
export function usualSign(text: unknown): -1 | 0 | 1 {
  if (typeof text !== 'string' || text.length > USUAL_CHARACTERS_MAX) return -1;
  const { length } = text;
  // Of several digits, the bitwise OR is 0 only if all are 0.
  let digits = 0;
  let index = 0;
  for (; index < length; index++) {
    const digit = text.charCodeAt(index) - ZERO;
    if (digit < 0 || digit > 9) break;
    digits |= digit;
  }
  if (index === 0 || (index > 1 && text.charCodeAt(0) === ZERO)) return -1;
  if (index < length) {
    if (text.charCodeAt(index) !== POINT || ++index === length) return -1;
    for (; index < length; index++) {
      const digit = text.charCodeAt(index) - ZERO;
      if (digit < 0 || digit > 9) return -1;
      digits |= digit;
    }
  }
  return digits === 0 ? 0 : 1;
}

/** True for a decimal of at most `AMOUNT_MAX`. Such prices may be zero or negative, as those of spreads, power and some futures. */
export function isFiniteDecimal(text: unknown): text is Decimal {
  return usualSign(text) >= 0 || (isDecimal(text) && Math.abs(Number(text)) <= AMOUNT_MAX);
}

/** True for a decimal above zero, of at most `AMOUNT_MAX`: a quantity, or a price of an instrument without negative prices. */
export function isPositiveDecimal(text: unknown): text is Decimal {
  return usualSign(text) === 1 || (isFiniteDecimal(text) && Number(text) > 0);
}
