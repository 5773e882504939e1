import { usePreferences } from '../preferences.ts';
import { type Formats, formatsFor } from './formats.ts';

export function showPercent(ratio: number): string {
  return `${ratio > 0 ? '+' : ratio < 0 ? '−' : ''}${Math.abs(ratio * 100).toFixed(2)} %`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function showBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${BYTE_UNITS[power]}`;
}

/** Number and time formats of the selected language. */
export function useFormats(): Formats {
  const { language } = usePreferences();
  return FORMATS[language];
}

const FORMATS = { en: formatsFor('en'), ko: formatsFor('ko') };
