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

const decimal = new RegExp(DECIMAL_PATTERN);

export function isDecimal(text: unknown): text is Decimal {
  return typeof text === 'string' && text.length <= 64 && decimal.test(text);
}

/** A price or a quantity that a trade may have: a finite decimal above zero. */
export function isPositiveDecimal(text: unknown): text is Decimal {
  return isDecimal(text) && Number(text) > 0 && Number.isFinite(Number(text));
}
