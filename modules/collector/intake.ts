import {
  type BookUpdate,
  type Candle,
  INTERVAL_MS,
  type InstrumentCommand,
  type InstrumentId,
  type Interval,
  openingOf,
  type QuarantinedFrame,
  type Quote,
  type Reading,
  type Trade,
} from '@millrace/contracts';
import { RecentValues, TraceSource } from '@millrace/telemetry';
import { withAlarms } from './alarms.ts';
import type { BookSynchronizer } from './book-synchronizer.ts';
import { CommandQueue } from './command-queue.ts';
import { isTaken, markOf, nextFile } from './file-progress.ts';
import { countKind } from './frame-kinds.ts';
import { GapCandles } from './gap-candles.ts';
import { type InstrumentIntake, newInstrumentIntake } from './instrument-intake.ts';
import type { IntakeOptions } from './intake-options.ts';
import { unlisted } from './matching.ts';
import { bookProblem, candleProblem, quoteProblem, readingProblem, tradeProblem } from './plausible.ts';
import { Refusals } from './refusals.ts';
import type { Sink } from './source.ts';

/** Event times this far ahead of our clock, or behind it, count as clock skew, ms. */
const AHEAD_MS_MAX = 5_000;
const BEHIND_MS_MAX = 60_000;
/** Newest latencies that are kept for the median. */
const LATENCIES = 256;

/** Parses the frames of a source, checks their content, and sends it to the zones. Counts all that it receives. */
export class Intake implements Sink {
  readonly #options: IntakeOptions;
  readonly #alarms: ReturnType<typeof withAlarms>;
  readonly #intakes = new Map<string, InstrumentIntake>();
  readonly #trace = new TraceSource();
  /** The newest event time of the venue; null before the first event. */
  #venueTime: number | null = null;
  readonly #queue: CommandQueue;
  readonly #gapCandles: GapCandles | null;
  readonly #refusals: Refusals;
  frames = 0;
  readonly consumedBy: Record<string, number> = {};
  readonly ignoredBy: Record<string, number> = {};
  readonly #latencies = new RecentValues(LATENCIES);

  constructor(options: IntakeOptions) {
    this.#alarms = withAlarms(options.clock);
    const { clock } = this.#alarms;
    this.#refusals = new Refusals(clock);
    const { fetchCandles, get } = options;
    this.#options = { ...options, clock };
    this.#queue = new CommandQueue(this.#options);
    this.#gapCandles =
      fetchCandles &&
      new GapCandles({
        clock,
        history: fetchCandles,
        get,
        onRepaired: () => this.#refusals.count('repaired-with-candles'),
        onFailure: () => this.#refusals.count('candles-unavailable'),
      });
    for (const [symbol, instrument] of options.instruments) this.#intakes.set(symbol, this.#intakeFor(symbol, instrument));
  }

  /** Drops the data of instruments whose zones are not open, until they are: without the record it is not known what would be missing before it. */
  start(): void {
    for (const { instrument } of this.#intakes.values())
      if (this.#options.market.recordOf(instrument) === 'closed') this.#queue.dropUntilSettled(instrument);
  }

  /** Handles one frame. Never throws. */
  take(frame: string, receivedAt: number): void {
    this.frames++;
    this.#refusals.current = { frame, receivedAt };
    this.#trace.next();
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
    this.#refusals.current = { frame, receivedAt: this.#options.clock.now() };
    this.#refusals.setAside(reason, detail);
  }

  connected(): void {
    this.#trace.renew();
    for (const { trades, book } of this.#intakes.values()) {
      book.reset('it has not come yet on this connection');
      trades.reconnected();
    }
  }

  /** See `FeedEvents.file`. @throws Error also while the record of an instrument cannot be read */
  beginFile(file: string, family?: string): void {
    for (const intake of this.#intakes.values()) intake.file = nextFile(intake, this.#options.market, file, family ?? file);
  }

  interrupted(reason: string): void {
    if (!this.#options.leavesGaps) return;
    for (const intake of this.#intakes.values()) {
      intake.beganAt ??= this.#venueTime;
      intake.trades.interrupt(reason, this.#venueTime);
    }
  }

  /** Stops sending: the zones are about to close. */
  close(): void {
    for (const { trades } of this.#intakes.values()) trades.close();
    this.#queue.close();
    this.#alarms.callOff();
  }

  bookBroken(symbol: string, reason: string): void {
    this.#intakes.get(symbol)?.book.broken(reason);
  }

  /** The data of an instrument after a time (epoch ms) was withdrawn. `last` is the newest remaining trade. */
  withdraw(instrument: InstrumentId, after: number, last: Trade | null): void {
    for (const intake of this.#intakes.values()) {
      if (intake.instrument !== instrument) continue;
      intake.trades.withdraw(after, last);
      if (intake.beganAt !== null && intake.beganAt > after) intake.beganAt = null;
    }
    if (this.#venueTime !== null && this.#venueTime > after) this.#venueTime = last?.time ?? null;
  }

  /** The zone of an instrument accepts commands again, after some were lost: continues from what the zone has recorded. */
  renew(instrument: InstrumentId, reason: string, isConnected: boolean): void {
    for (const [symbol, intake] of [...this.#intakes]) {
      if (intake.instrument !== instrument) continue;
      intake.end();
      const renewed = this.#intakeFor(symbol, instrument, intake);
      this.#intakes.set(symbol, renewed);
      renewed.trades.interrupt(reason, intake.beganAt ?? this.#venueTime);
      if (isConnected) renewed.trades.reconnected();
    }
  }

  sendAll(command: InstrumentCommand): void {
    for (const { instrument } of this.#intakes.values()) this.#send(instrument, command);
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
    return this.#refusals.quarantine.countBy;
  }

  /** Number of faults, by kind. */
  get faults(): Record<string, number> {
    return this.#refusals.faults;
  }

  /** Rejected frames, newest first. */
  get quarantine(): readonly QuarantinedFrame[] {
    return this.#refusals.quarantine.frames;
  }

  consumed(kind: string): void {
    this.consumedBy[kind] = (this.consumedBy[kind] ?? 0) + 1;
  }

  ignored(kind: string): void {
    countKind(this.ignoredBy, kind);
  }

  refused(detail: string): void {
    this.#refusals.setAside('schema', detail);
  }

  trade(symbol: string, trade: Trade, numbered: boolean): boolean {
    const intake = this.#intakeOf(symbol);
    if (!intake || isTaken(intake)) return false;
    const failure = tradeProblem(trade, intake);
    if (failure !== null) return this.#refusals.distrust(intake.faults, failure);
    if (this.#refusals.isFuture(intake.faults, 'trade', trade.time)) return false;
    this.#measure(intake, trade.time);
    const id = trade.id === '' && intake.file ? `${intake.file.file}:${intake.file.at}` : trade.id;
    intake.trades.accept({ ...trade, id }, numbered);
    return true;
  }

  quote(symbol: string, quote: Omit<Quote, 'time'> & { readonly time?: number }): void {
    const intake = this.#intakeOf(symbol);
    if (!intake) return;
    const failure = quoteProblem(quote, intake);
    if (failure !== null) return void this.#refusals.distrust(intake.faults, failure);
    if (isTimed(quote) && this.#refusals.isFuture(intake.faults, 'quote', quote.time)) return;
    if (isTimed(quote)) this.#send(intake.instrument, { type: 'ObserveQuote', quote });
    else
      this.#send(intake.instrument, { type: 'ObserveQuote', quote: { ...quote, time: this.#refusals.current.receivedAt }, untimed: true });
  }

  bookReplaced(symbol: string, book: BookUpdate): void {
    this.#plausibleBook(symbol, book)?.replaced(book);
  }

  bookUpdated(symbol: string, book: BookUpdate): void {
    this.#plausibleBook(symbol, book)?.updated(book);
  }

  /** The synchronizer of the book that a message is for, unless the message is refused. */
  #plausibleBook(symbol: string, update: BookUpdate): BookSynchronizer | undefined {
    const intake = this.#intakeOf(symbol);
    const failure = intake && bookProblem(update, intake);
    if (!failure) return intake?.book;
    this.#refusals.distrust(intake.faults, failure);
    intake.book.broken(failure);
    return undefined;
  }

  venueCandle(symbol: string, interval: Interval, candle: Candle, closed: boolean): void {
    const intake = this.#intakeOf(symbol);
    if (!intake) return;
    const failure = candleProblem(candle, intake);
    if (failure !== null) return void this.#refusals.distrust(intake.faults, failure);
    if (this.#refusals.isFuture(intake.faults, 'candle', candle.time)) return;
    this.#send(intake.instrument, { type: 'ObserveVenueCandle', interval, candle, closed });
  }

  candle(symbol: string, interval: Interval, candle: Candle): boolean {
    const intake = this.#intakeOf(symbol);
    if (!intake || isTaken(intake)) return false;
    const failure = candleProblem(candle, intake);
    if (failure !== null) return this.#refusals.distrust(intake.faults, failure);
    if (this.#refusals.isFuture(intake.faults, 'candle', candle.time)) return false;
    const time = openingOf(candle.time, interval);
    const forming = time + INTERVAL_MS[interval] > this.#refusals.current.receivedAt;
    this.#send(intake.instrument, {
      type: 'RecordCandle',
      interval,
      candle: { ...candle, time },
      ...(forming && { forming }),
      ...markOf(intake),
    });
    return !forming;
  }

  reading(symbol: string, reading: Reading): boolean {
    const intake = this.#intakeOf(symbol);
    if (!intake || isTaken(intake)) return false;
    const failure = readingProblem(reading);
    if (failure !== null) return this.#refusals.distrust(intake.faults, failure);
    if (this.#refusals.isFuture(intake.faults, 'reading', reading.time)) return false;
    this.#send(intake.instrument, { type: 'RecordReading', reading, ...markOf(intake) });
    return true;
  }

  #intakeFor(symbol: string, instrument: InstrumentId, before?: InstrumentIntake): InstrumentIntake {
    return newInstrumentIntake({
      options: this.#options,
      refusals: this.#refusals,
      gapCandles: this.#gapCandles,
      send: (command) => this.#send(instrument, command),
      symbol,
      instrument,
      ...(before && { before }),
    });
  }

  #intakeOf(symbol: string): InstrumentIntake | undefined {
    const intake = this.#intakes.get(symbol);
    if (intake) return intake;
    const matched = this.#options.match?.(symbol) ?? unlisted(symbol);
    if ('instrument' in matched) {
      const taken = this.#intakeFor(symbol, matched.instrument);
      this.#intakes.set(symbol, taken);
      return taken;
    }
    this.#refusals.count(matched.reason);
    this.#refusals.setAside(matched.reason, matched.detail);
    return undefined;
  }

  #measure(intake: InstrumentIntake, time: number): void {
    this.#venueTime = Math.max(this.#venueTime ?? 0, time);
    const latency = this.#refusals.current.receivedAt - time;
    this.#latencies.add(latency);
    if (!this.#options.checkClock || (latency > -AHEAD_MS_MAX && latency < BEHIND_MS_MAX)) return;
    this.#refusals.fault(
      intake.faults,
      'clock-skew',
      latency < 0 ? `the venue’s time is ${-latency} ms ahead of ours` : `the news is ${latency} ms old`,
    );
  }

  #send(instrument: InstrumentId, command: InstrumentCommand): void {
    this.#queue.send(instrument, command, this.#trace.current);
  }
}

function isTimed(quote: Omit<Quote, 'time'> & { readonly time?: number }): quote is Quote {
  return quote.time !== undefined;
}
