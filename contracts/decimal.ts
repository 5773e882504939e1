import { Type } from 'typebox';

/**
 * A number as the venue wrote it. Prices and quantities stay text from the wire to the archive, so that `127.0` never
 * becomes `127` and eighteen decimals never become sixteen; arithmetic (candles) uses doubles.
 */
export type Decimal = string;

const DECIMAL_PATTERN = '^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$';

export const Decimal = Type.String({
  pattern: DECIMAL_PATTERN,
  maxLength: 64,
  description: 'A decimal number as text, digit for digit as the venue sent it.',
  examples: ['0.35280000', '127.0', '1E-7'],
});

/** A computed number (of a candle, a sum) as a decimal, to 15 significant digits: more would show the noise of binary fractions. */
export function decimalOf(value: number): Decimal {
  return String(Number(value.toPrecision(15)));
}

const decimal = new RegExp(DECIMAL_PATTERN);

export function isDecimal(text: unknown): text is Decimal {
  return typeof text === 'string' && text.length <= 64 && decimal.test(text);
}

/** A price that may be zero or below, as those of spreads, of power and of some futures: a finite decimal. */
export function isFiniteDecimal(text: unknown): text is Decimal {
  return isDecimal(text) && Number.isFinite(Number(text));
}

/** A quantity, or a price where prices are above zero: a finite decimal above zero. */
export function isPositiveDecimal(text: unknown): text is Decimal {
  return isFiniteDecimal(text) && Number(text) > 0;
}
