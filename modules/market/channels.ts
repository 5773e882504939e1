import {
  type Candle,
  INTERVALS,
  type InstrumentEvent,
  type InstrumentId,
  type Interval,
  isInstrumentId,
  type Trade,
} from '@millrace/contracts';
import { type EventBatch, keyOf } from '@millrace/kernel';
import type { CandleRow } from '@millrace/series';
import type { Hub, InitialEvent } from '@millrace/streams';
import { type Bar, candleOf } from './bars.ts';
import type { Instrument } from './instrument.ts';
import { describeBook, describeInstrument, describeQuote } from './views.ts';

/** Number of levels per side in the book channel. */
const BOOK_DEPTH = 20;

/** Publishes the events that an instrument decided in a turn. Events of channels without readers are not built. */
export function publishBatch(hub: Hub, batch: EventBatch, zoneState: unknown): void {
  const id = keyOf(batch.zone);
  if (!isInstrumentId(id)) return;
  const state = zoneState as Instrument;
  const seen = { trade: false, quote: false, book: false };
  const events = batch.events as unknown as InstrumentEvent[];
  for (let index = 0; index < events.length; index++) {
    const event = events[index] as InstrumentEvent;
    const trace = batch.metas?.[index]?.correlation;
    switch (event.type) {
      case 'TradeRecorded':
        seen.trade = true;
        hub.publish(`trades:${id}`, 'lossless', 'trade', '', tradeEvent(event.trade, trace));
        break;
      case 'CandleRecorded':
        seen.trade = true;
        break;
      case 'CandleClosed':
      case 'CandleCorrected': {
        const channel = `candles:${id}:${event.interval}`;
        const version = event.type === 'CandleClosed' ? 1 : event.version;
        if (hub.isWanted(channel))
          hub.publish(channel, 'conflated', 'candle', String(event.candle.time), candleEvent(event.candle, true, version));
        break;
      }
      case 'QuoteChanged':
        seen.quote = true;
        break;
      case 'BookReplaced':
      case 'BookUpdated':
      case 'BookBroken':
      case 'BookLost':
        seen.book = true;
        break;
      case 'ReadingRecorded':
        hub.publish(`readings:${id}`, 'lossless', 'reading', '', { ...event.reading, trace });
        break;
      case 'InstrumentMended':
        Object.assign(seen, { trade: true, quote: true, book: true });
        break;
      case 'InstrumentListed':
      case 'WentLive':
      case 'WentStale':
        seen.trade = true;
    }
  }
  publishState(hub, id, state, seen);
}

/** Publishes candles that the store has computed again. */
export function publishRemade(hub: Hub, remade: readonly CandleRow[]): void {
  for (const { instrument, interval, version, time, open, high, low, close, volume, trades } of remade) {
    const channel = `candles:${instrument}:${interval}`;
    const candle = { time, open, high, low, close, volume, trades };
    if (hub.isWanted(channel)) hub.publish(channel, 'conflated', 'candle', String(time), candleEvent(candle, true, version));
  }
}

/** Publishes the state after the turn: once, however many events it had. */
function publishState(hub: Hub, id: InstrumentId, state: Instrument, seen: { trade: boolean; quote: boolean; book: boolean }): void {
  if (seen.trade) {
    for (const interval of INTERVALS) {
      const channel = `candles:${id}:${interval}`;
      const bar = state.bars[interval].at(-1);
      if (bar && !bar.closed && hub.isWanted(channel)) hub.publish(channel, 'conflated', 'candle', String(bar.time), barEvent(bar));
    }
    if (hub.isWanted('tickers')) hub.publish('tickers', 'conflated', 'ticker', id, describeInstrument(id, state));
  }
  if (seen.quote && hub.isWanted(`quotes:${id}`)) hub.publish(`quotes:${id}`, 'conflated', 'quote', '', describeQuote(id, state));
  if (seen.book && hub.isWanted(`book:${id}`)) hub.publish(`book:${id}`, 'conflated', 'book', '', describeBook(id, state, BOOK_DEPTH));
}

/** A market channel with its parsed parameters. */
export type MarketChannel =
  | { readonly kind: 'tickers' }
  | { readonly kind: 'trades' | 'quotes' | 'book' | 'readings'; readonly instrument: InstrumentId }
  | { readonly kind: 'candles'; readonly instrument: InstrumentId; readonly interval: Interval };

/** The initial events of a channel: its current state. Lossless channels have none. */
export function* initialEvents(
  channel: MarketChannel,
  instruments: () => Iterable<readonly [InstrumentId, Instrument]>,
  of: (id: InstrumentId) => Instrument | undefined,
): Generator<InitialEvent> {
  if (channel.kind === 'tickers') {
    for (const [id, state] of instruments()) yield { event: 'ticker', key: id, data: describeInstrument(id, state) };
    return;
  }
  if (!('instrument' in channel)) return;
  const state = of(channel.instrument);
  if (!state) return;
  if (channel.kind === 'quotes' && state.quote) yield { event: 'quote', key: '', data: describeQuote(channel.instrument, state) };
  if (channel.kind === 'book') {
    const book = describeBook(channel.instrument, state, BOOK_DEPTH);
    if (book) yield { event: 'book', key: '', data: book };
  }
  if (channel.kind === 'candles') {
    const bar = state.bars[channel.interval].at(-1);
    if (bar) yield { event: 'candle', key: String(bar.time), data: barEvent(bar) };
  }
}

function tradeEvent({ time, price, quantity, side, id }: Trade, trace: string | undefined): object {
  return trace === undefined ? { time, price, quantity, side, id } : { time, price, quantity, side, id, trace };
}

function candleEvent(candle: Candle, closed: boolean, version: number): object {
  return { ...candle, closed, version };
}

function barEvent(bar: Bar): object {
  return candleEvent(candleOf(bar), bar.closed, bar.version);
}
