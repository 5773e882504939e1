import {
  type BookUpdate,
  type Candle,
  type FeedFault,
  type FileMark,
  type Gap,
  INTERVAL_MS,
  type InstrumentCommand,
  type InstrumentId,
  type InstrumentZones,
  type Interval,
  openingOf,
  type QuarantinedFrame,
  type Quote,
  type Reading,
  type Trade,
} from '@millrace/contracts';
import { RecentValues, TraceSource } from '@millrace/telemetry';
import { withAlarms } from './alarms.ts';
import { BookSynchronizer } from './book-synchronizer.ts';
import { CommandQueue, type CommandQueueOptions } from './command-queue.ts';
import { FaultReports } from './fault-reports.ts';
import { FileProgress } from './file-progress.ts';
import { GapCandles } from './gap-candles.ts';
import type { Matched } from './matching.ts';
import { candleProblem, isTime, type PriceRule, quoteProblem, tradeProblem } from './plausible.ts';
import { Quarantine } from './quarantine.ts';
import type { CandleHistory, GetJson, Protocol, Sink, TradeGap } from './source.ts';
import { TradeSequencer } from './trade-sequencer.ts';

/** Event times this far ahead of our clock, or behind it, count as clock skew, ms. */
const AHEAD_MS_MAX = 5_000;
const BEHIND_MS_MAX = 60_000;
/** Events farther in the future are rejected, ms: they would close open candles, and make all later events late. */
const FUTURE_MS_MAX = 60_000;
/** Newest latencies that are kept for the median. */
const LATENCIES = 256;

export interface IntakeOptions extends CommandQueueOptions {
  readonly market: InstrumentZones;
  readonly protocol: Protocol;
  readonly checkClock: boolean;
  readonly leavesGaps: boolean;
  readonly instruments: ReadonlyMap<string, InstrumentId>;
  /** Instruments whose prices may be zero or negative. */
  readonly negativePrices?: ReadonlySet<InstrumentId>;
  /** Accepts symbols that are not in `instruments`. Null when there is no such rule. */
  readonly match?: ((symbol: string) => Matched) | null;
  readonly fetchTrades: ((symbol: string, tradeGap: TradeGap) => AsyncIterable<Trade[]>) | null;
  /** See `History`. */
  readonly disorderMs?: number;
  readonly fetchCandles: CandleHistory | null;
  readonly get: GetJson;
  readonly fetchBook: ((symbol: string) => Promise<BookUpdate>) | null;
}

interface Line extends PriceRule {
  readonly trades: TradeSequencer;
  readonly book: BookSynchronizer;
  readonly faults: FaultReports;
  /** Progress in the file that is read; null for other sources. */
  file: FileProgress | null;
  /** Frames of trades whose number is not confirmed by another trade yet. */
  readonly doubted: WeakMap<Trade, { readonly frame: string; readonly receivedAt: number }>;
}

/** Parses the frames of a source, checks their content, and sends it to the zones. Counts all that it receives. */
export class Intake implements Sink {
  readonly #options: IntakeOptions;
  readonly #alarms: ReturnType<typeof withAlarms>;
  readonly #lines = new Map<string, Line>();
  readonly #trace = new TraceSource();
  #frame = '';
  #receivedAt = 0;
  #traceId = '';
  /** The newest event time of the venue; null before the first event. */
  #venueTime: number | null = null;
  readonly #queue: CommandQueue;
  readonly #gapCandles: GapCandles | null;
  readonly #quarantine = new Quarantine();
  frames = 0;
  readonly consumedBy: Record<string, number> = {};
  readonly ignoredBy: Record<string, number> = {};
  readonly faults: Record<string, number> = {};
  readonly #latencies = new RecentValues(LATENCIES);

  constructor(options: IntakeOptions) {
    this.#alarms = withAlarms(options.clock);
    const { clock } = this.#alarms;
    const { market, onFull, onRoom, fetchCandles, get } = options;
    this.#options = { ...options, clock };
    this.#queue = new CommandQueue({ clock, market, onFull, onRoom });
    this.#gapCandles =
      fetchCandles &&
      new GapCandles({
        clock,
        history: fetchCandles,
        get,
        onRepaired: () => this.#count('repaired-with-candles'),
        onFailure: () => this.#count('candles-unavailable'),
      });
    for (const [symbol, instrument] of options.instruments) this.#lines.set(symbol, this.#lineFor(symbol, instrument));
  }

  /** Handles one frame. Never throws. */
  take(frame: string, receivedAt: number): void {
    this.frames++;
    this.#frame = frame;
    this.#receivedAt = receivedAt;
    this.#traceId = this.#trace.next();
    try {
      this.#options.protocol.read(frame, this);
    } catch (error) {
      this.refused(
        error instanceof SyntaxError ? `no JSON: ${error.message}` : `unexpected shape: ${error instanceof Error ? error.message : error}`,
      );
    }
  }

  /** Counts a frame that the feed rejected. */
  quarantineFrame(reason: 'oversized' | 'schema', detail: string, frame: string): void {
    this.frames++;
    this.#frame = frame;
    this.#receivedAt = this.#options.clock.now();
    this.#setAside(reason, detail);
  }

  connected(): void {
    this.#trace.renew();
    for (const { trades, book } of this.#lines.values()) {
      book.reset('it has not come yet on this connection');
      trades.reconnected();
    }
  }

  /** See `FeedEvents.file`. */
  beginFile(file: string, family?: string): void {
    for (const line of this.#lines.values())
      line.file = new FileProgress(file, family ?? file, this.#options.market.filesOf(line.instrument));
  }

  interrupted(reason: string): void {
    if (!this.#options.leavesGaps) return;
    for (const { trades } of this.#lines.values()) trades.interrupt(reason, this.#venueTime);
  }

  /** Stops sending: the zones are about to close. */
  close(): void {
    for (const { trades } of this.#lines.values()) trades.close();
    this.#queue.close();
    this.#alarms.callOff();
  }

  bookBroken(symbol: string, reason: string): void {
    this.#lines.get(symbol)?.book.reset(reason);
  }

  /** The data of an instrument after a time (epoch ms) was withdrawn. `last` is the newest remaining trade. */
  withdraw(instrument: InstrumentId, after: number, last: Trade | null): void {
    for (const line of this.#lines.values()) if (line.instrument === instrument) line.trades.withdraw(after, last);
    if (this.#venueTime !== null && this.#venueTime > after) this.#venueTime = last?.time ?? null;
  }

  sendAll(command: InstrumentCommand): void {
    for (const { instrument } of this.#lines.values()) this.#send(instrument, command);
  }

  /** Median of the newest latencies in ms; null before there were any. */
  get latencyMs(): number | null {
    return this.#latencies.quantiles([0.5])[0] ?? null;
  }

  /** Number of commands that wait because the mailbox of their zone is full. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Number of rejected frames, by reason. */
  get refusedBy(): Readonly<Record<string, number>> {
    return this.#quarantine.countBy;
  }

  /** Rejected frames, newest first. */
  get quarantine(): readonly QuarantinedFrame[] {
    return this.#quarantine.frames;
  }

  consumed(kind: string): void {
    this.consumedBy[kind] = (this.consumedBy[kind] ?? 0) + 1;
  }

  ignored(kind: string): void {
    this.ignoredBy[kind] = (this.ignoredBy[kind] ?? 0) + 1;
  }

  refused(detail: string): void {
    this.#setAside('schema', detail);
  }

  trade(symbol: string, trade: Trade, numbered: boolean): boolean {
    const line = this.#lineOf(symbol);
    if (!line || isTaken(line)) return false;
    const failure = tradeProblem(trade, line);
    if (failure !== null) return this.#distrust(line, failure);
    if (this.#isFuture(line, 'trade', trade.time)) return false;
    this.#measure(line, trade.time);
    const id = trade.id === '' && line.file ? `${line.file.file}:${line.file.at}` : trade.id;
    line.trades.accept({ ...trade, id }, numbered);
    return true;
  }

  quote(symbol: string, quote: Omit<Quote, 'time'> & { readonly time?: number }): void {
    const line = this.#lineOf(symbol);
    if (!line) return;
    const failure = quoteProblem(quote, line);
    if (failure !== null) return void this.#distrust(line, failure);
    if (isTimed(quote) && this.#isFuture(line, 'quote', quote.time)) return;
    if (isTimed(quote)) this.#send(line.instrument, { type: 'ObserveQuote', quote });
    else this.#send(line.instrument, { type: 'ObserveQuote', quote: { ...quote, time: this.#receivedAt }, untimed: true });
  }

  bookReplaced(symbol: string, book: BookUpdate): void {
    this.#lineOf(symbol)?.book.replaced(book);
  }

  bookUpdated(symbol: string, book: BookUpdate): void {
    this.#lineOf(symbol)?.book.updated(book);
  }

  venueCandle(symbol: string, interval: Interval, candle: Candle, closed: boolean): void {
    const line = this.#lineOf(symbol);
    if (!line) return;
    const failure = candleProblem(candle, line);
    if (failure !== null) return void this.#distrust(line, failure);
    if (this.#isFuture(line, 'candle', candle.time)) return;
    this.#send(line.instrument, { type: 'ObserveVenueCandle', interval, candle, closed });
  }

  candle(symbol: string, interval: Interval, candle: Candle): boolean {
    const line = this.#lineOf(symbol);
    if (!line || isTaken(line)) return false;
    const failure = candleProblem(candle, line);
    if (failure !== null) return this.#distrust(line, failure);
    if (this.#isFuture(line, 'candle', candle.time)) return false;
    const time = openingOf(candle.time, interval);
    const forming = time + INTERVAL_MS[interval] > this.#receivedAt;
    this.#send(line.instrument, {
      type: 'RecordCandle',
      interval,
      candle: { ...candle, time },
      ...(forming && { forming }),
      ...markOf(line),
    });
    return !forming;
  }

  reading(symbol: string, reading: Reading): boolean {
    const line = this.#lineOf(symbol);
    if (!line || isTaken(line)) return false;
    if (!Number.isFinite(reading.value) || !isTime(reading.time)) return this.#distrust(line, `a reading ${JSON.stringify(reading)}`);
    if (this.#isFuture(line, 'reading', reading.time)) return false;
    this.#send(line.instrument, { type: 'RecordReading', reading, ...markOf(line) });
    return true;
  }

  #lineFor(symbol: string, instrument: InstrumentId): Line {
    const { clock, fetchTrades, disorderMs = 0, fetchBook, market } = this.#options;
    const faults = new FaultReports(clock, (report) => this.#send(instrument, { type: 'RecordFault', ...report }));
    const doubted: Line['doubted'] = new WeakMap();
    const trades = new TradeSequencer(
      {
        clock,
        deliver: (trade, numbered, backfilled) =>
          this.#send(instrument, {
            type: 'RecordTrade',
            trade,
            numbered,
            ...(backfilled && { backfilled }),
            ...markOf(this.#lines.get(symbol)),
          }),
        outOfOrder: (trade, after) => this.#fault(this.#lines.get(symbol), 'out-of-order', `trade ${trade.id} came after ${after.id}`),
        fetch: fetchTrades && ((tradeGap) => fetchTrades(symbol, tradeGap)),
        disorderMs,
        unrecorded: (some, numbered) => market.unrecorded(instrument, some, numbered),
        recordGap: (gap: Gap) => {
          this.#count('gap');
          this.#send(instrument, { type: 'RecordGap', gap });
          this.#replaceGapCandles(symbol, instrument, gap);
        },
        recordRepair: (repair) => {
          this.#count('repair');
          this.#send(instrument, { ...repair, type: 'RecordRepair' });
          for (const gap of repair.left) {
            this.#count('gap');
            this.#replaceGapCandles(symbol, instrument, gap);
          }
        },
        doubt: (trade) => void doubted.set(trade, { frame: this.#frame, receivedAt: this.#receivedAt }),
        setAside: (trade, reason) => {
          this.#setAside('trade-number', reason, doubted.get(trade));
          this.#fault(this.#lines.get(symbol), 'schema', reason);
        },
      },
      this.#options.leavesGaps ? market.lastTrade(instrument) : null,
      this.#options.leavesGaps ? market.gapsOf(instrument) : [],
    );
    const book = new BookSynchronizer({
      clock,
      deliver: (update, whole) => this.#send(instrument, { type: whole ? 'ReplaceBook' : 'UpdateBook', book: update }),
      fetch: fetchBook && (() => fetchBook(symbol)),
      lost: (reason) => this.#send(instrument, { type: 'LoseBook', reason, time: clock.now() }),
      onFailure: () => this.#count('book-unavailable'),
    });
    const negativePrices = this.#options.negativePrices?.has(instrument) ?? false;
    return { instrument, negativePrices, trades, book, faults, file: null, doubted };
  }

  #replaceGapCandles(symbol: string, instrument: InstrumentId, gap: Gap): void {
    this.#gapCandles?.readLater(symbol, gap, (interval, candle) => {
      const failure = candleProblem(candle, { instrument, negativePrices: this.#options.negativePrices?.has(instrument) ?? false });
      if (failure !== null) this.#fault(this.#lines.get(symbol), 'schema', failure);
      else this.#send(instrument, { type: 'RecordCandle', interval, candle, replacesIncomplete: true });
    });
  }

  #lineOf(symbol: string): Line | undefined {
    const line = this.#lines.get(symbol);
    if (line) return line;
    const matched = this.#options.match?.(symbol) ?? {
      reason: 'unknown-symbol',
      detail: `"${symbol}" is not an instrument of this source`,
    };
    if ('instrument' in matched) {
      const taken = this.#lineFor(symbol, matched.instrument);
      this.#lines.set(symbol, taken);
      return taken;
    }
    this.#count(matched.reason);
    this.#setAside(matched.reason, matched.detail);
    return undefined;
  }

  #measure(line: Line, time: number): void {
    this.#venueTime = Math.max(this.#venueTime ?? 0, time);
    const latency = this.#receivedAt - time;
    this.#latencies.add(latency);
    if (!this.#options.checkClock || (latency > -AHEAD_MS_MAX && latency < BEHIND_MS_MAX)) return;
    this.#fault(line, 'clock-skew', latency < 0 ? `the venue’s time is ${-latency} ms ahead of ours` : `the news is ${latency} ms old`);
  }

  /** Quarantines an event whose time is in the future. Recordings are not checked. @returns whether it was quarantined */
  #isFuture(line: Line, what: string, time: number): boolean {
    const aheadMs = time - Math.max(this.#receivedAt, this.#options.clock.now());
    if (aheadMs <= FUTURE_MS_MAX) return false;
    const detail = `a ${what} of ${new Date(time).toISOString()}, ${Math.round(aheadMs)} ms ahead of our clock`;
    this.#setAside('clock-skew', detail);
    this.#fault(line, 'clock-skew', detail);
    return true;
  }

  /** Quarantines a frame with an impossible value, and counts it for the instrument. @returns false: it is rejected */
  #distrust(line: Line, detail: string): false {
    this.#setAside('schema', detail);
    this.#fault(line, 'schema', detail);
    return false;
  }

  #setAside(reason: string, detail: string, { frame, receivedAt } = { frame: this.#frame, receivedAt: this.#receivedAt }): void {
    this.#quarantine.add(reason, detail, { frame, receivedAt });
  }

  #fault(line: Line | undefined, fault: FeedFault, detail: string): void {
    this.#count(fault);
    line?.faults.add(fault, detail);
  }

  #count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  #send(instrument: InstrumentId, command: InstrumentCommand): void {
    this.#queue.send(instrument, command, this.#traceId);
  }
}

/** Counts a row of the file that is read, if any. @returns whether it was imported before */
function isTaken({ file }: Line): boolean {
  return file?.countRow() ?? false;
}

/** The position in the file that is read, if any. */
function markOf(line: Line | undefined): { from?: FileMark } {
  return line?.file ? { from: line.file.mark } : {};
}

function isTimed(quote: Omit<Quote, 'time'> & { readonly time?: number }): quote is Quote {
  return quote.time !== undefined;
}
