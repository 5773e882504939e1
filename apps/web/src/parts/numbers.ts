import { usePreferences } from '../preferences.ts';

/** A price with all digits of the venue, and thousands separators. */
export function showDecimal(text: string): string {
  const [whole = '', fraction] = text.split('.');
  const apart = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
  return fraction === undefined ? apart : `${apart}.${fraction}`;
}

/** Number of decimals for a price of this magnitude. */
export function decimalsFor(price: number): number {
  return Math.max(0, Math.min(8, 5 - Math.floor(Math.log10(Math.abs(price) || 1))));
}

export function showPrice(price: number, decimals = decimalsFor(price)): string {
  return showDecimal(price.toFixed(decimals));
}

export function showPercent(ratio: number): string {
  return `${ratio > 0 ? '+' : ratio < 0 ? '−' : ''}${Math.abs(ratio * 100).toFixed(2)} %`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function showBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${BYTE_UNITS[power]}`;
}

interface Formats {
  compact(value: number): string;
  whole(value: number): string;
  clock(time: number): string;
  day(time: number): string;
  /** A duration in ms, in its largest suitable unit. */
  duration(ms: number): string;
  /** A period in ms that is a whole number of minutes or hours. */
  period(ms: number): string;
  /** A duration in ms, in seconds with this number of decimals. */
  seconds(ms: number, decimals: 1 | 2): string;
  /** Date and time. */
  moment(time: number): string;
}

/** Number and time formats of the selected language. */
export function useFormats(): Formats {
  const { language } = usePreferences();
  return FORMATS[language];
}

const formatsFor = (locale: string): Formats => {
  const unit = (name: string, decimals = 0) =>
    new Intl.NumberFormat(locale, {
      style: 'unit',
      unit: name,
      unitDisplay: 'short',
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    });
  const [second, minute, hour] = [unit('second'), unit('minute'), unit('hour')];
  const precise = { 1: unit('second', 1), 2: unit('second', 2) };
  const compact = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 2 });
  const whole = new Intl.NumberFormat(locale);
  const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23' });
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium' });
  return {
    compact: (value) => compact.format(value),
    whole: (value) => whole.format(value),
    clock: (time) => clock.format(time),
    day: (time) => day.format(time),
    duration: (ms) => {
      const seconds = Math.max(0, Math.round(ms / 1_000));
      if (seconds < 120) return second.format(seconds);
      return seconds < 7_200 ? minute.format(Math.round(seconds / 60)) : hour.format(Math.round(seconds / 3_600));
    },
    period: (ms) => (ms < 3_600_000 ? minute.format(ms / 60_000) : hour.format(ms / 3_600_000)),
    seconds: (ms, decimals) => precise[decimals].format(ms / 1_000),
    moment: (time) => moment.format(time),
  };
};

const FORMATS = { en: formatsFor('en'), ko: formatsFor('ko') };
