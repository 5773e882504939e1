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
import type { Clock } from '@millrace/kernel';
import { TraceSource } from '@millrace/telemetry';
import { withAlarms } from './alarms.ts';
import { BookSynchronizer } from './book-synchronizer.ts';
import type { Matched } from './matching.ts';
import { candleProblem, isTime, type PriceRule, quoteProblem, tradeProblem } from './plausible.ts';
import type { CandleHistory, GetJson, Protocol, Sink, TradeGap } from './source.ts';
import { TradeSequencer } from './trade-sequencer.ts';

/** Refused frames kept for a look, and how much of each. */
const QUARANTINE_MAX = 200;
const QUARANTINE_CHARACTERS = 512;
/** A venue’s clock this far ahead of ours, or its news this late, is a fault that is worth a count. */
const AHEAD_MS_MAX = 5_000;
const BEHIND_MS_MAX = 60_000;
/** News from farther ahead than this is not taken: it would close candles that are not over, and make everything after it late. */
const FUTURE_MS_MAX = 60_000;
/** Faults of one kind are told to the zone at most this often, with their number. */
const FAULT_EVERY_MS = 1_000;
const LATENCIES_KEPT = 256;

export interface IntakeOptions {
  readonly market: InstrumentZones;
  readonly clock: Clock;
  readonly protocol: Protocol;
  readonly checkClock: boolean;
  readonly leavesGaps: boolean;
  readonly instruments: ReadonlyMap<string, InstrumentId>;
  /** Instruments whose prices may be zero or below. */
  readonly negativePrices?: ReadonlySet<InstrumentId>;
  /** What a symbol is that is not among `instruments`; null where no other is taken. */
  readonly match?: ((symbol: string) => Matched) | null;
  readonly fetchTrades: ((symbol: string, tradeGap: TradeGap) => AsyncIterable<Trade[]>) | null;
  /** See `History`. */
  readonly disorderMs?: number;
  readonly fetchCandles: CandleHistory | null;
  readonly get: GetJson;
  readonly fetchBook: ((symbol: string) => Promise<BookUpdate>) | null;
  /** Zones are full: no more frames, until everything that waits is taken. */
  readonly onFull: () => void;
  readonly onRoom: () => void;
}

interface Line extends PriceRule {
  readonly trades: TradeSequencer;
  readonly book: BookSynchronizer;
  readonly faults: Map<FeedFault, { count: number; reportedAt: number; detail: string }>;
  /** The file that is being read: how much of it has come for this instrument, and how much had been taken before. */
  file: (FileMark & { at: number; readonly taken: number }) | null;
  /** Frames of trades that wait for another one to confirm their number. */
  readonly doubted: WeakMap<Trade, { readonly frame: string; readonly receivedAt: number }>;
}

/** Reads frames with the source’s protocol, checks what is in them, and tells the zones. Counts everything it sees. */
export class Intake implements Sink {
  readonly #options: IntakeOptions;
  readonly #alarms: ReturnType<typeof withAlarms>;
  readonly #lines = new Map<string, Line>();
  readonly #trace = new TraceSource();
  #frame = '';
  #receivedAt = 0;
  #traceId = '';
  /** The newest time that the venue has told; null before the first. */
  #venueTime: number | null = null;
  #closed = false;
  #waiting: { instrument: InstrumentId; command: InstrumentCommand; trace: string }[] = [];
  frames = 0;
  readonly consumedBy: Record<string, number> = {};
  readonly ignoredBy: Record<string, number> = {};
  readonly refusedBy: Record<string, number> = {};
  readonly faults: Record<string, number> = {};
  readonly quarantine: QuarantinedFrame[] = [];
  #latencies: number[] = [];

  constructor(options: IntakeOptions) {
    this.#alarms = withAlarms(options.clock);
    this.#options = { ...options, clock: this.#alarms.clock };
    for (const [symbol, instrument] of options.instruments) this.#lines.set(symbol, this.#lineFor(symbol, instrument));
  }

  /** Takes one frame, whatever it is. */
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

  /** A frame that the feed itself turned away. */
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
    for (const line of this.#lines.values()) {
      const files = this.#options.market.filesOf(line.instrument);
      // Also one that was in order when it was imported and is not now, or the other way round.
      const base = family ?? file;
      const isKnownOtherwise = Object.keys(files).some((known) => known !== file && (known === base || known.startsWith(`${base}-`)));
      if (isKnownOtherwise)
        throw new Error(
          'Its rows are not, or were not, in order of time, and it has changed since it was imported: which rows are new cannot be told. Put new rows into a file of their own.',
        );
      line.file = { file, at: 0, taken: files[file] ?? 0 };
    }
  }

  interrupted(reason: string): void {
    if (!this.#options.leavesGaps) return;
    for (const { trades } of this.#lines.values()) trades.interrupt(reason, this.#venueTime);
  }

  /** Nothing is told any more: the zones are about to close. */
  close(): void {
    for (const { trades } of this.#lines.values()) trades.close();
    this.#closed = true;
    this.#alarms.callOff();
    this.#waiting = [];
  }

  bookBroken(symbol: string, reason: string): void {
    this.#lines.get(symbol)?.book.reset(reason);
  }

  /** Everything of an instrument after a time (epoch ms) was withdrawn; `last` is the newest trade that is left on record. */
  withdraw(instrument: InstrumentId, after: number, last: Trade | null): void {
    for (const line of this.#lines.values()) if (line.instrument === instrument) line.trades.withdraw(after, last);
    if (this.#venueTime !== null && this.#venueTime > after) this.#venueTime = last?.time ?? null;
  }

  sendAll(command: InstrumentCommand): void {
    for (const { instrument } of this.#lines.values()) this.#send(instrument, command);
  }

  /** Median of the newest latencies in ms; null before there were any. */
  get latencyMs(): number | null {
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? null;
  }

  /** Commands that wait because their zone is full. */
  get waiting(): number {
    return this.#waiting.length;
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
    const faults: Line['faults'] = new Map();
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
        isKnown: (trade) => market.isKnown(instrument, trade),
        recordGap: (gap: Gap) => {
          this.#count('gap');
          this.#send(instrument, { type: 'RecordGap', gap });
          this.#repairLater(symbol, instrument, gap);
        },
        recordRepair: (repair) => {
          this.#count('repair');
          this.#send(instrument, { ...repair, type: 'RecordRepair' });
          for (const gap of repair.left) {
            this.#count('gap');
            this.#repairLater(symbol, instrument, gap);
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

  /** The candles that a gap runs through lie about their volume: the venue’s own take their place once the last is closed. */
  #repairLater(symbol: string, instrument: InstrumentId, gap: Gap): void {
    const { fetchCandles, clock } = this.#options;
    if (!fetchCandles) return;
    const end = openingOf(gap.to, '1m') + INTERVAL_MS['1m'];
    // Where the gap is long past, its candles are final already.
    clock.after(Math.max(0, end - Math.max(gap.to, clock.now())) + CANDLE_SETTLES_MS, () => {
      this.#repairWithCandles(fetchCandles, symbol, instrument, gap.from, end).catch(() => this.#count('candles-unavailable'));
    });
  }

  async #repairWithCandles(history: CandleHistory, symbol: string, instrument: InstrumentId, from: number, end: number): Promise<void> {
    for (const interval of history.intervals) {
      const length = INTERVAL_MS[interval];
      for (let next = openingOf(from, interval); next + length <= end; ) {
        const page = await history.read(symbol, interval, next, end, this.#options.get);
        for (const candle of page) {
          if (candle.time + length > end) continue;
          const failure = candleProblem(candle, { instrument, negativePrices: this.#options.negativePrices?.has(instrument) ?? false });
          if (failure !== null) this.#fault(this.#lines.get(symbol), 'schema', failure);
          else this.#send(instrument, { type: 'RecordCandle', interval, candle, replacesIncomplete: true });
        }
        const last = page.at(-1);
        if (!last || last.time < next) break;
        next = last.time + length;
      }
    }
    this.#count('repaired-with-candles');
  }

  #lineOf(symbol: string): Line | undefined {
    const line = this.#lines.get(symbol);
    if (line) return line;
    const matched = this.#options.match?.(symbol) ?? { reason: 'unknown-symbol', detail: `"${symbol}" is no instrument of this source` };
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
    if (this.#latencies.length >= LATENCIES_KEPT) this.#latencies.shift();
    this.#latencies.push(latency);
    if (!this.#options.checkClock || (latency > -AHEAD_MS_MAX && latency < BEHIND_MS_MAX)) return;
    this.#fault(line, 'clock-skew', latency < 0 ? `the venue’s time is ${-latency} ms ahead of ours` : `the news is ${latency} ms old`);
  }

  /** Whether something claims to be from the future of our clock, not of a recording’s; then it is set aside. */
  #isFuture(line: Line, what: string, time: number): boolean {
    const aheadMs = time - Math.max(this.#receivedAt, this.#options.clock.now());
    if (aheadMs <= FUTURE_MS_MAX) return false;
    const detail = `a ${what} of ${new Date(time).toISOString()}, ${Math.round(aheadMs)} ms ahead of our clock`;
    this.#setAside('clock-skew', detail);
    this.#fault(line, 'clock-skew', detail);
    return true;
  }

  /** A value that cannot be: the frame is set aside, and the instrument told. @returns false, for it is not taken */
  #distrust(line: Line, detail: string): false {
    this.#setAside('schema', detail);
    this.#fault(line, 'schema', detail);
    return false;
  }

  #setAside(reason: string, detail: string, { frame, receivedAt } = { frame: this.#frame, receivedAt: this.#receivedAt }): void {
    this.refusedBy[reason] = (this.refusedBy[reason] ?? 0) + 1;
    if (this.quarantine.length >= QUARANTINE_MAX) this.quarantine.pop();
    this.quarantine.unshift({
      receivedAt,
      reason,
      detail,
      frame: frame.slice(0, QUARANTINE_CHARACTERS),
      bytes: Buffer.byteLength(frame),
    });
  }

  #fault(line: Line | undefined, fault: FeedFault, detail: string): void {
    this.#count(fault);
    if (!line) return;
    const now = this.#options.clock.now();
    const seen = line.faults.get(fault) ?? { count: 0, reportedAt: Number.NEGATIVE_INFINITY, detail };
    line.faults.set(fault, seen);
    seen.count++;
    seen.detail = detail;
    if (seen.reportedAt === Number.POSITIVE_INFINITY) return;
    const report = () => {
      this.#send(line.instrument, { type: 'RecordFault', fault, detail: seen.detail, time: this.#options.clock.now(), count: seen.count });
      seen.count = 0;
      seen.reportedAt = this.#options.clock.now();
    };
    if (now - seen.reportedAt >= FAULT_EVERY_MS) return report();
    seen.reportedAt = Number.POSITIVE_INFINITY;
    this.#options.clock.after(FAULT_EVERY_MS, report);
  }

  #count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  #send(instrument: InstrumentId, command: InstrumentCommand): void {
    if (this.#closed) return;
    if (this.#waiting.length === 0 && this.#options.market.send(instrument, command, this.#traceId)) return;
    this.#waiting.push({ instrument, command, trace: this.#traceId });
    if (this.#waiting.length > 1) return;
    this.#options.onFull();
    this.#retryLater();
  }

  #retryLater(): void {
    this.#options.clock.after(ROOM_EVERY_MS, () => {
      if (this.#closed) return;
      let taken = 0;
      for (const { instrument, command, trace } of this.#waiting) {
        if (!this.#options.market.send(instrument, command, trace)) break;
        taken++;
      }
      this.#waiting.splice(0, taken);
      if (this.#waiting.length > 0) return this.#retryLater();
      this.#options.onRoom();
    });
  }
}

/** A venue’s candle is final some seconds after its end. */
const CANDLE_SETTLES_MS = 5_000;
/** How often a full zone is asked again. */
const ROOM_EVERY_MS = 5;

/** Counts what comes of a file; true for what had been taken before this reading of it. */
function isTaken({ file }: Line): boolean {
  return file !== null && ++file.at <= file.taken;
}

/** Where what is being read stands in its file, when it is of one. */
function markOf(line: Line | undefined): { from?: FileMark } {
  return line?.file ? { from: { file: line.file.file, at: line.file.at } } : {};
}

function isTimed(quote: Omit<Quote, 'time'> & { readonly time?: number }): quote is Quote {
  return quote.time !== undefined;
}
