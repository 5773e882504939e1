import type { InstrumentCommand, InstrumentId, InstrumentZones, QuarantinedFrame, Source, SourceState, Trade } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import {
  Backoff,
  BodyTooLarge,
  OutsideCall,
  type OutsideCallStats,
  RateLimit,
  RetryAfterError,
  readBodyText,
  retryAfterMs,
} from '@millrace/resilience';
import { parseDigits } from './digits.ts';
import { Intake } from './intake.ts';
import type { Matched } from './matching.ts';
import type { Connection, GetJson, SourceParts, TradeGap } from './source.ts';

const RECONNECT_FIRST_MS = 500;
/** After a connection that lasted this long, ms, the backoff starts again with its first delay. */
const GOOD_CONNECTION_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Longest wait that a server may ask for, ms. */
const RETRY_AFTER_MS_MAX = 3_600_000;
const REST_TIMEOUT_MS = 10_000;
const REST_BYTES_MAX = 32 * 1024 * 1024;
/** Requests to the REST API at a time, and those that wait for their turn: some of each instrument, which all lose the connection at the same time. */
const REST_CONCURRENT_MAX = 4;
const REST_WAITING_MAX = 10_000;
/** Burst of requests; each venue allows more. */
const REST_BURST = 5;
const RATE_WINDOW_MS = 5_000;

export interface SupervisorOptions {
  readonly id: string;
  readonly type: string;
  readonly parts: SourceParts;
  readonly staleAfterMs: number;
  readonly reconnectMaxMs: number;
  /** Instruments whose prices may be zero or negative. */
  readonly negativePrices: ReadonlySet<InstrumentId>;
  /** Accepts symbols that are not in the configuration of the source. Null when there is no such rule. */
  readonly match: ((symbol: string) => Matched) | null;
  readonly market: InstrumentZones;
  readonly clock: Clock;
  readonly onChange: (source: Source) => void;
  readonly onFailure: (message: string) => void;
}

/** Runs one source: connects, detects silence, reconnects with backoff, fills gaps, and reports its state. */
export class Supervisor {
  readonly id: string;
  readonly #options: SupervisorOptions;
  readonly #intake: Intake;
  readonly #symbols: Map<InstrumentId, string>;
  readonly #backoff: Backoff;
  readonly #rest: OutsideCall;
  readonly #restLimit: RateLimit;
  #state: SourceState = 'stopped';
  #reason = 'not started';
  #since: number;
  #connection: Connection | null = null;
  #connections = 0;
  /** When the current connection was opened, ms of the monotonic clock; null before that. */
  #connectedAt: number | null = null;
  #lastFrameAt: number | null = null;
  /** Start of the present silence, ms of the monotonic clock: the newest frame, or any other sign that the connection works. */
  #heardAt = 0;
  /** Whether the delivery of frames is paused, because zones are behind. */
  #isHeld = false;
  #reconnectAt: number | null = null;
  #cancelTimer: (() => void) | null = null;
  #cancelRate: (() => void) | null = null;
  #framesAtRate = 0;
  #framesPerSecond = 0;

  constructor(options: SupervisorOptions, instruments: ReadonlyMap<string, InstrumentId>) {
    this.id = options.id;
    this.#options = options;
    this.#since = options.clock.now();
    this.#symbols = new Map([...instruments].map(([symbol, instrument]) => [instrument, symbol]));
    this.#backoff = new Backoff(RECONNECT_FIRST_MS, options.reconnectMaxMs);
    this.#restLimit = new RateLimit(options.parts.restPerSecond, Math.max(REST_BURST, options.parts.restPerSecond));
    this.#rest = new OutsideCall({
      name: `${options.id} history`,
      timeoutMs: REST_TIMEOUT_MS,
      retriesMax: 2,
      breakAfter: 5,
      breakMs: 30_000,
      concurrentMax: REST_CONCURRENT_MAX,
      waitingMax: REST_WAITING_MAX,
      isRetryable: (error) => !(error instanceof NotServed),
    });
    const { history } = options.parts;
    const get = this.#getJson;
    this.#intake = new Intake({
      market: options.market,
      clock: options.clock,
      protocol: options.parts.protocol,
      checkClock: options.parts.checkClock,
      leavesGaps: options.parts.leavesGaps,
      instruments,
      negativePrices: options.negativePrices,
      match: options.match && ((symbol) => this.#match(symbol)),
      fetchTrades: history?.trades
        ? (symbol: string, tradeGap: TradeGap): AsyncIterable<Trade[]> => history.trades?.(symbol, tradeGap, get) ?? none()
        : null,
      disorderMs: history?.disorderMs ?? 0,
      fetchCandles: history?.candles ?? null,
      get,
      fetchBook: history?.book ? (symbol) => history.book?.(symbol, get) ?? Promise.reject(new Error('no book')) : null,
      requestBook: (symbol) => this.#requestBook(symbol),
      canWait: !options.parts.leavesGaps,
      status: () => this.#status(),
      onFull: () => this.#hold(),
      onRoom: () => this.#goOn(),
      onUnreachable: (instrument) => this.#unreachable(instrument),
      onReachable: (instrument, lost) => this.#reachable(instrument, lost),
    });
  }

  start(): void {
    this.#intake.start();
    this.#watchRate();
    this.#connect();
  }

  pause(): void {
    this.#disconnect();
    this.#become('paused', 'paused by an operator');
    this.#intake.interrupted('the source was paused');
    this.#markStale('the source is paused');
  }

  resume(): void {
    this.#backoff.reset();
    this.#connect();
  }

  restart(): void {
    this.#disconnect();
    this.#intake.interrupted('the source was restarted');
    this.#backoff.reset();
    this.#connect();
  }

  stop(): void {
    this.#cancelRate?.();
    this.#disconnect();
    this.#become('stopped', 'the server stops');
    this.#intake.close();
  }

  /** Requests the full order book, at most every 5 s: the zone reported its book as broken. */
  resyncBook(instrument: InstrumentId, reason: string): void {
    const symbol = this.#symbols.get(instrument);
    if (symbol !== undefined) this.#intake.bookBroken(symbol, reason);
  }

  #requestBook(symbol: string): void {
    for (const message of this.#options.parts.protocol.resync?.(symbol) ?? []) this.#connection?.send(message);
  }

  get instruments(): readonly InstrumentId[] {
    return [...this.#symbols.keys()];
  }

  #match(symbol: string): Matched {
    const matched = this.#options.match?.(symbol) ?? { reason: 'unknown-symbol', detail: symbol };
    if ('instrument' in matched) this.#symbols.set(matched.instrument, symbol);
    return matched;
  }

  /** See `Intake.withdraw`. */
  withdraw(instrument: InstrumentId, after: number, last: Trade | null): void {
    this.#intake.withdraw(instrument, after, last);
  }

  get state(): SourceState {
    return this.#state;
  }

  /** State of the circuit breaker for the history of the venue. */
  get historyCalls(): OutsideCallStats {
    return this.#rest.stats();
  }

  get quarantine(): readonly QuarantinedFrame[] {
    return this.#intake.quarantine;
  }

  /** Number of commands that wait because the mailbox of their zone is full. */
  get waitingCommands(): number {
    return this.#intake.waiting;
  }

  describe(): Source {
    const { id, type, parts } = this.#options;
    return {
      id,
      type,
      simulated: parts.simulated,
      state: this.#state,
      reason: this.#reason,
      stateChangedAt: this.#since,
      instruments: [...this.instruments],
      connections: this.#connections,
      reconnectAt: this.#reconnectAt,
      lastFrameAt: this.#lastFrameAt,
      frames: this.#intake.frames,
      framesPerSecond: Math.round(this.#framesPerSecond * 10) / 10,
      latencyMs: this.#intake.latencyMs === null ? null : Math.round(this.#intake.latencyMs * 10) / 10,
      consumed: { ...this.#intake.consumedBy },
      ignored: { ...this.#intake.ignoredBy },
      refused: { ...this.#intake.refusedBy },
      faults: { ...this.#intake.faults },
    };
  }

  #connect(): void {
    this.#disconnect();
    this.#become('connecting', this.#connections === 0 ? 'the first connection' : 'connecting again');
    const { clock, parts } = this.#options;
    this.#connections++;
    this.#cancelTimer = clock.after(CONNECT_TIMEOUT_MS, () => this.#failed(`no connection within ${CONNECT_TIMEOUT_MS} ms`));
    let connection: Connection | null = null;
    const mine = () => connection !== null && this.#connection === connection;
    connection = parts.feed.open({
      opened: (isBehind = false) => {
        if (!mine()) return;
        this.#connectedAt = this.#heardAt = clock.elapsed();
        if (this.#isHeld) this.#connection?.pause();
        for (const message of parts.protocol.connected()) this.#connection?.send(message);
        this.#intake.connected();
        this.#listenForSilence();
        if (isBehind) this.#become('connecting', 'catching up with what happened before');
        else this.#goLive();
      },
      caughtUp: () => {
        if (mine()) this.#goLive();
      },
      frame: (frame, receivedAt) => {
        if (!mine()) return;
        this.#lastFrameAt = clock.now();
        this.#heardAt = clock.elapsed();
        this.#intake.take(frame, receivedAt ?? this.#lastFrameAt);
      },
      heard: () => {
        if (mine()) this.#heardAt = clock.elapsed();
      },
      file: (identity, family) => {
        if (mine()) this.#intake.beginFile(identity, family);
      },
      refused: (reason, detail, frame) => {
        if (!mine()) return;
        this.#heardAt = clock.elapsed();
        this.#intake.quarantineFrame(reason, detail, frame);
      },
      closed: (reason, retryAfterMs) => {
        if (mine()) this.#failed(reason, retryAfterMs);
      },
      finished: () => {
        if (!mine()) return;
        this.#disconnect();
        this.#become('finished', 'there is nothing more to come');
        this.#markStale('the source has come to its end');
      },
    });
    this.#connection = connection;
  }

  #goLive(): void {
    this.#become('live', 'connected');
    this.#intake.sendAll(this.#status());
  }

  /** The command that tells a zone the state of this source. */
  #status(): InstrumentCommand {
    const time = this.#options.clock.now();
    return this.#state === 'live' ? { type: 'MarkLive', time } : { type: 'MarkStale', reason: this.#reason, time };
  }

  #hold(): void {
    this.#isHeld = true;
    this.#connection?.pause();
  }

  #goOn(): void {
    this.#isHeld = false;
    this.#heardAt = this.#options.clock.elapsed();
    this.#connection?.resume();
  }

  #unreachable(instrument: InstrumentId): void {
    this.#count('zone-unreachable');
    this.#options.onFailure(`${this.id}: the zone of ${instrument} accepts no data. Its data is dropped until it accepts some again.`);
  }

  #reachable(instrument: InstrumentId, lost: number): void {
    const reason = `the zone of the instrument accepted no data; ${lost} updates were dropped`;
    this.#intake.renew(instrument, reason, this.#connectedAt !== null);
    this.resyncBook(instrument, reason);
    this.#options.onFailure(`${this.id}: the zone of ${instrument} accepts data again; ${lost} updates were dropped`);
  }

  /** Detects a connection that is open but silent: the most common failure of a feed. */
  #listenForSilence(): void {
    const { clock, parts } = this.#options;
    const silenceMsMax = Math.max(this.#options.staleAfterMs, parts.quietMsMax ?? 0);
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (silenceMsMax === Number.POSITIVE_INFINITY) return;
    // A paused connection is silent because of us.
    const silenceMs = () => (this.#isHeld ? 0 : clock.elapsed() - this.#heardAt);
    this.#cancelTimer = clock.after(Math.max(silenceMsMax - silenceMs(), 1), () => {
      const silence = silenceMs();
      if (silence < silenceMsMax) return this.#listenForSilence();
      this.#count('silence');
      this.#failed(`nothing was heard for ${Math.round(silence)} ms`);
    });
  }

  #failed(reason: string, retryAfterMs = 0): void {
    const { clock } = this.#options;
    if (this.#connectedAt !== null && clock.elapsed() - this.#connectedAt > GOOD_CONNECTION_MS) this.#backoff.reset();
    const wasLive = this.#state === 'live';
    this.#disconnect();
    if (wasLive) this.#count('disconnect');
    this.#intake.interrupted(reason);
    const waitMs = Math.max(this.#backoff.next(), Math.min(retryAfterMs, RETRY_AFTER_MS_MAX));
    this.#reconnectAt = clock.now() + waitMs;
    this.#become('waiting', reason);
    this.#markStale(reason);
    this.#options.onFailure(`${this.id}: ${reason}; connecting again in ${waitMs} ms`);
    this.#cancelTimer = clock.after(waitMs, () => this.#connect());
  }

  #disconnect(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#reconnectAt = null;
    this.#connectedAt = null;
    const connection = this.#connection;
    this.#connection = null;
    connection?.close();
  }

  #markStale(reason: string): void {
    this.#intake.sendAll({ type: 'MarkStale', reason, time: this.#options.clock.now() });
  }

  #become(state: SourceState, reason: string): void {
    this.#state = state;
    this.#reason = reason;
    this.#since = this.#options.clock.now();
    this.#options.onChange(this.describe());
  }

  #count(fault: string): void {
    this.#intake.faults[fault] = (this.#intake.faults[fault] ?? 0) + 1;
  }

  #watchRate(): void {
    this.#cancelRate = this.#options.clock.after(RATE_WINDOW_MS / 5, () => {
      const frames = this.#intake.frames - this.#framesAtRate;
      this.#framesAtRate = this.#intake.frames;
      const rate = (frames * 5_000) / RATE_WINDOW_MS;
      // A moving average over about the window, so that the displayed rate is stable.
      this.#framesPerSecond += (rate - this.#framesPerSecond) * 0.4;
      if (frames > 0 || this.#framesPerSecond > 0.05) this.#options.onChange(this.describe());
      this.#watchRate();
    });
  }

  readonly #getJson: GetJson = async (path, digits) => {
    const base = this.#options.parts.restUrl;
    if (base === null) throw new NotServed('the source has no restUrl');
    return this.#rest.run(async (signal) => {
      if (this.#state === 'stopped') throw new NotServed('the source is stopped');
      await this.#restLimit.take();
      const response = await fetch(base.replace(/\/+$/, '') + path, { signal, headers: { accept: 'application/json' } });
      if (!response.ok) await response.body?.cancel();
      if (response.status === 404 || response.status === 400) throw new NotServed(`${path.split('?')[0]} answered ${response.status}`);
      if (!response.ok)
        throw new RetryAfterError(
          `${path.split('?')[0]} answered ${response.status}`,
          retryAfterMs(response.headers.get('retry-after'), this.#options.clock.now()),
        );
      const text = await readBodyText(response, REST_BYTES_MAX).catch((error: unknown) => {
        throw error instanceof BodyTooLarge ? new NotServed(`${path.split('?')[0]} answered with ${error.message}`) : error;
      });
      return digits === 'as-text' ? parseDigits(text) : JSON.parse(text);
    });
  };
}

/** A response that a retry would not change. */
class NotServed extends Error {}

async function* none(): AsyncIterable<Trade[]> {}
