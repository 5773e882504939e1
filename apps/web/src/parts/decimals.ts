/** A price with all digits of the venue, and thousands separators. */
export function showDecimal(text: string): string {
  const [whole = '', fraction] = text.split('.');
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

/** The exact difference of two prices, with the decimals of the more precise one. */
export function differenceOf(minuend: string, subtrahend: string): string {
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
