import type { BookUpdate, Candle, Interval, Quote, Reading, Trade } from '@millrace/contracts';

/*
 * The interfaces of a source: a Feed transports frames, a Protocol parses them, and a History reads past data, where the venue serves it.
 * The supervisor does the rest: connecting, watching, gaps, quality, statistics.
 */

/** Transports frames. It does not parse them. */
export interface Feed {
  /** Starts to connect and reports its events. The connection is used until `closed` or `finished` is called. */
  open(events: FeedEvents): Connection;
}

export interface FeedEvents {
  /** The connection is open. @param isBehind past frames come first; no instrument is live before `caughtUp` is called */
  opened(isBehind?: boolean): void;
  /** The following frames are live. */
  caughtUp(): void;
  /**
   * The following frames are the rows of a file, from its first row. Rows that were imported before are skipped.
   * @param identity identifies the file by its content
   * @param family prefix of the identities of a file whose identity changes when rows are added; ends with "-"
   * @throws Error when another identity of the family was imported: its new rows cannot be told from the old ones
   */
  file(identity: string, family?: string): void;
  /** A frame as it was received. `receivedAt` is in epoch ms, for feeds that are not live. */
  frame(frame: string, receivedAt?: number): void;
  /** The connection works, although there is no frame. */
  heard(): void;
  /** A frame that was rejected without parsing, for example because it is too large. */
  refused(reason: 'oversized' | 'schema', detail: string, frame: string): void;
  /** The connection has ended, or could not be made. @param retryAfterMs time that the server asks to wait for, ms */
  closed(reason: string, retryAfterMs?: number): void;
  /** The feed has ended; no frame will follow. */
  finished(): void;
}

export interface Connection {
  send(text: string): void;
  close(): void;
  /** Stops the delivery of frames: the consumer is too slow. */
  pause(): void;
  resume(): void;
}

/** Parses frames and passes their content to a sink. Its only state is that of the current connection. */
export interface Protocol {
  /** Returns the messages to send after connecting, and resets the state of the previous connection. */
  connected(): string[];
  /** Parses one frame and passes its content to the sink. Must not throw, whatever the venue sends. */
  read(frame: string, sink: Sink): void;
  /** Returns the messages that request a full order book of a symbol. Absent when only `History.book` serves one. */
  resync?(symbol: string): string[];
}

/** Receives the content of frames. Symbols are those of the venue. */
export interface Sink {
  /**
   * A trade. Trades of files may have an empty id.
   * @param numbered the venue numbers the trades of this instrument without gaps, and `order` is that number
   * @returns false when it is rejected
   */
  trade(symbol: string, trade: Trade, numbered: boolean): boolean;
  /** A quote. It has no `time` when the venue does not send one. */
  quote(symbol: string, quote: Omit<Quote, 'time'> & { readonly time?: number }): void;
  bookReplaced(symbol: string, book: BookUpdate): void;
  bookUpdated(symbol: string, book: BookUpdate): void;
  /** A candle of the venue, to compare ours with. */
  venueCandle(symbol: string, interval: Interval, candle: Candle, closed: boolean): void;
  /** A candle of a feed without trades. Returns false when it is rejected or may still change. */
  candle(symbol: string, interval: Interval, candle: Candle): boolean;
  /** Returns false when it is rejected. */
  reading(symbol: string, reading: Reading): boolean;
  /** Outcome of the frame: used, known but not used, or not understood. Exactly one of the three is called for each frame. */
  consumed(kind: string): void;
  ignored(kind: string): void;
  refused(detail: string): void;
}

/** A range in which trades may be missing, with the known trades around it. */
export interface TradeGap {
  /** The newest trade before the gap; null when the instrument has had none. */
  readonly after: Trade | null;
  /** Venue time from which trades may be missing, epoch ms: the time of `after`, else that of the lost connection. */
  readonly since: number;
  /** The first trade after the gap; null when none has been received. */
  readonly before: Trade | null;
}

/** Whether a trade lies in a gap. For venues whose history is read by time or by page. */
export function isInGap(trade: Trade, { after, since, before }: TradeGap): boolean {
  const behind = after ? trade.order > after.order || (trade.order === after.order && trade.id !== after.id) : trade.time >= since;
  return behind && (before === null || trade.order < before.order || (trade.order === before.order && trade.id !== before.id));
}

export interface CandleHistory {
  readonly intervals: readonly Interval[];
  /** Candles that open in [from, to), oldest first, at most one page. */
  read(symbol: string, interval: Interval, from: number, to: number, get: GetJson): Promise<Candle[]>;
}

/** Past data that a venue serves over HTTP. */
export interface History {
  /**
   * Trades after `gap.after` and before `gap.before` (or now), oldest first, page by page. With `disorderMs`, the first one is older than `gap.since`, if the
   * history reaches back to it.
   */
  trades?(symbol: string, tradeGap: TradeGap, get: GetJson): AsyncIterable<Trade[]>;
  /**
   * How far the venue sends unnumbered trades out of order, ms. Trades missed by a lost connection may then be older than the last trade before
   * it, and newer than the first trade after it.
   */
  readonly disorderMs?: number;
  /** Candles of the venue, for gaps whose trades are not available. */
  readonly candles?: CandleHistory;
  /** The current full order book. */
  book?(symbol: string, get: GetJson): Promise<BookUpdate>;
}

/** Fetches JSON within the rate limit of the source. With `digits`, numbers are returned as text. */
export type GetJson = (path: string, digits?: 'as-text') => Promise<unknown>;

/** The parts of a source, for its supervisor. */
export interface SourceParts {
  readonly feed: Feed;
  readonly protocol: Protocol;
  readonly history: History | null;
  readonly restUrl: string | null;
  /** Requests per second to the REST API; below the limit of the venue. */
  readonly restPerSecond: number;
  /** Pair (BASE-QUOTE) and symbol of the venue, for each instrument. */
  readonly symbols: readonly { readonly pair: string; readonly symbol: string }[];
  readonly simulated: boolean;
  /**
   * Longest time without frames that is no fault, ms, whatever `staleAfterMs` is: two intervals of a poll. Infinite for a file, which is examined before its
   * first row, and to which rows may be added at any time. Default 0.
   */
  readonly quietMsMax?: number;
  /** Whether a lost connection leaves a gap: the venue trades on without us. */
  readonly leavesGaps: boolean;
  /** Whether event times are compared with our clock. False for replays, whose times are in the past. */
  readonly checkClock: boolean;
}
