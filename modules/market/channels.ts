import {
  type Candle,
  type CandleEvent,
  type GapNotice,
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
import { type Bar, candleOf, isInexact } from './bars.ts';
import { hasLevels } from './book.ts';
import type { Instrument } from './instrument.ts';
import { bookOf, describeBook, describeInstrument, describeQuote } from './views.ts';

/** Number of levels per side in the book channel. */
const BOOK_DEPTH = 20;

/** Publishes the events that an instrument decided in a turn. Events of channels without readers are not built. */
export function publishBatch(hub: Hub, batch: EventBatch, zoneState: unknown): void {
  const id = keyOf(batch.zone);
  if (!isInstrumentId(id)) return;
  const state = zoneState as Instrument;
  const seen = { trade: false, quote: false, book: false, status: false };
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
          hub.publish(channel, 'conflated', 'candle', String(event.candle.time), candleEvent(event.candle, true, version, state));
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
        publishWithdrawal(hub, id);
        Object.assign(seen, { trade: true, quote: true, book: true });
        break;
      case 'WentLive':
      case 'WentStale':
        seen.status = true;
        break;
      case 'InstrumentListed':
        seen.trade = true;
    }
  }
  publishState(hub, id, state, seen);
}

/**
 * Publishes candles that the store has computed again.
 * @param of the state of an instrument; undefined when its zone is not open
 */
export function publishRemade(hub: Hub, remade: readonly CandleRow[], of: (id: InstrumentId) => Instrument | undefined): void {
  for (const { instrument, interval, version, time, open, high, low, close, volume, trades } of remade) {
    const channel = `candles:${instrument}:${interval}`;
    const candle = { time, open, high, low, close, volume, trades };
    const state = of(instrument) ?? { status: 'stale' };
    if (hub.isWanted(channel)) hub.publish(channel, 'conflated', 'candle', String(time), candleEvent(candle, true, version, state));
  }
}

/** Tells the readers of trades, readings and candles that some of them were withdrawn: they read the current ones from the API. */
function publishWithdrawal(hub: Hub, id: InstrumentId): void {
  const from = hub.position;
  for (const channel of [`trades:${id}`, `readings:${id}`, ...INTERVALS.map((interval) => `candles:${id}:${interval}`)])
    if (hub.isWanted(channel))
      hub.publish(channel, 'lossless', 'gap', '', { channel, from, to: from, reason: 'withdrawn' } satisfies GapNotice);
}

/** Publishes the state after the turn: once, however many events it had. */
function publishState(
  hub: Hub,
  id: InstrumentId,
  state: Instrument,
  seen: { trade: boolean; quote: boolean; book: boolean; status: boolean },
): void {
  if (seen.trade || seen.status) {
    for (const interval of INTERVALS) {
      const channel = `candles:${id}:${interval}`;
      const bar = newestBar(state, interval);
      if (!bar || (bar.closed && !seen.status) || !hub.isWanted(channel)) continue;
      hub.publish(channel, 'conflated', 'candle', String(bar.time), barEvent(bar, state));
    }
    if (hub.isWanted('tickers')) hub.publish('tickers', 'conflated', 'ticker', id, describeInstrument(id, state));
  }
  // The quote and the book have the status, too.
  const quote = (seen.quote || seen.status) && hub.isWanted(`quotes:${id}`) && describeQuote(id, state);
  if (quote) hub.publish(`quotes:${id}`, 'conflated', 'quote', '', quote);
  const isBookChanged = seen.book || (seen.status && hasLevels(state.book));
  if (isBookChanged && hub.isWanted(`book:${id}`)) hub.publish(`book:${id}`, 'conflated', 'book', '', bookOf(id, state, BOOK_DEPTH));
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
    const bar = newestBar(state, channel.interval);
    if (bar) yield { event: 'candle', key: String(bar.time), data: barEvent(bar, state) };
  }
}

function tradeEvent({ time, price, quantity, side, id }: Trade, trace: string | undefined): object {
  return trace === undefined ? { time, price, quantity, side, id } : { time, price, quantity, side, id, trace };
}

/** The newest candle in memory. Undefined when it is closed and only the store has the exact one. */
function newestBar({ bars }: Pick<Instrument, 'bars'>, interval: Interval): Bar | undefined {
  const bar = bars[interval].at(-1);
  return bar?.closed && isInexact(bar) ? undefined : bar;
}

function candleEvent(candle: Candle, closed: boolean, version: number, { status }: Pick<Instrument, 'status'>): CandleEvent {
  return { ...candle, closed, version, status };
}

function barEvent(bar: Bar, state: Instrument): CandleEvent {
  return candleEvent(candleOf(bar), bar.closed, bar.version, state);
}
