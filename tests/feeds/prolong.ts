import type { RecordedLine } from '@millrace/collector';
import { truthOf } from './truth.ts';

const ROUNDS = 3;

/**
 * Repeats the trades of a recording of half a minute three times, with later times and following numbers, so that a gap of 30 seconds has trades on both
 * sides.
 */
export function prolonged(type: string, lines: readonly RecordedLine[]): RecordedLine[] {
  const opening = lines.filter(({ kind }) => kind !== 'received');
  // The last match before the subscription, which Coinbase sends first, has any age and does not belong in a later round.
  const isLive = (text: string) => !text.includes('"last_match"') && truthOf(type, [{ text }]).trades.length > 0;
  const received = lines.filter((line) => line.kind === 'received').filter(({ text }) => isLive(text));
  const spanSeconds = Math.ceil(((received.at(-1)?.at ?? 0) - (received[0]?.at ?? 0)) / 1_000) + 1;
  const numbers = new Map<string, { first: number; last: number }>();
  for (const { instrument, rank } of truthOf(type, received).trades) {
    const known = numbers.get(instrument) ?? { first: rank, last: rank };
    numbers.set(instrument, { first: Math.min(known.first, rank), last: Math.max(known.last, rank) });
  }
  const later = (text: string, round: number): string => {
    const shift = round * spanSeconds * 1_000;
    const [trade] = truthOf(type, [{ text }]).trades;
    const range = numbers.get(trade?.instrument ?? '') ?? { first: 0, last: 0 };
    const id = Number(trade?.rank) + round * (range.last - range.first + 1);
    if (type.startsWith('binance'))
      return text.replace(/"a":\d+/, `"a":${id}`).replace(/"(T|E)":(\d+)/g, (_all, name, time) => `"${name}":${Number(time) + shift}`);
    if (type === 'coinbase')
      return text
        .replace(/"trade_id":\d+/, `"trade_id":${id}`)
        .replace(/"time":"([^"]+)"/, (_all, time) => `"time":"${new Date(Date.parse(time) + shift).toISOString()}"`);
    if (type === 'upbit')
      return text
        .replace(/"ttms":(\d+)/, (_all, time) => `"ttms":${Number(time) + shift}`)
        .replace(/"sid":(\d{13})/, (_all, time) => `"sid":${Number(time) + shift}`);
    return text.replace(/"(\d{10})\.(\d+)"/g, (_all, seconds, fraction) => `"${Number(seconds) + shift / 1_000}.${fraction}"`);
  };
  const rounds = Array.from({ length: ROUNDS }, (_none, round) =>
    received.map((line): RecordedLine => ({ ...line, at: line.at + round * spanSeconds * 1_000, text: later(line.text, round) })),
  );
  return [...opening, ...rounds.flat()];
}
