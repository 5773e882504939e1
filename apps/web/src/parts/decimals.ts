/** Maximum number of places by which an exponent is shown as zeros. */
const ZEROS_MAX = 24;

/** A price with all digits of the venue, and thousands separators. */
export function showDecimal(text: string): string {
  const exponent = Number(/e(.+)$/i.exec(text)?.[1] ?? 0);
  if (Math.abs(exponent) > ZEROS_MAX) return text;
  const [whole = '', fraction] = withoutExponent(text).split('.');
  const apart = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
  return fraction === undefined ? apart : `${apart}.${fraction}`;
}

/** Maximum number of decimals of a rounded price: a double has no more digits. */
const DECIMALS_MAX = 15;

/** Number of decimals for a price of this magnitude. */
export function decimalsFor(price: number): number {
  return Math.max(0, Math.min(DECIMALS_MAX, 5 - Math.floor(Math.log10(Math.abs(price) || 1))));
}

export function showPrice(price: number, decimals = decimalsFor(price)): string {
  return showDecimal(price.toFixed(decimals));
}

/** A decimal number as digits only: `1.5E-7` is `0.00000015`. Venues send both. */
function withoutExponent(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent] = /^(-?)(\d+)\.?(\d*)e(.+)$/i.exec(text) ?? [];
  if (exponent === undefined) return text;
  const decimals = Math.max(0, fraction.length - Number(exponent));
  const digits = (whole + fraction).padEnd(whole.length + Number(exponent), '0').padStart(decimals + 1, '0');
  const end = digits.length - decimals;
  const integer = digits.slice(0, end).replace(/^0+(?=\d)/, '');
  return `${sign}${integer}${decimals === 0 ? '' : `.${digits.slice(end)}`}`;
}

/** The exact difference of two prices, with the decimals of the more precise one. */
export function differenceOf(...prices: readonly [minuend: string, subtrahend: string]): string {
  const [minuend, subtrahend] = prices.map(withoutExponent) as [string, string];
  const decimals = Math.max(...[minuend, subtrahend].map((price) => price.split('.')[1]?.length ?? 0));
  const scaled = (price: string) => {
    const [whole = '', fraction = ''] = price.split('.');
    return BigInt(whole + fraction.padEnd(decimals, '0'));
  };
  const difference = scaled(minuend) - scaled(subtrahend);
  const digits = String(difference < 0n ? -difference : difference).padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals);
  return `${difference < 0n ? '-' : ''}${whole}${decimals === 0 ? '' : `.${digits.slice(-decimals)}`}`;
}
