import type { BookUpdate, Candle, Interval, Quote, Reading, Trade } from '@millrace/contracts';

/*
 * What a new source has to bring: a Feed that moves frames, a Protocol that reads them and, where the venue keeps its past,
 * a History. The supervisor does the rest: connecting, watching, gaps, quality, statistics.
 */

/** Moves frames from outside to here; knows nothing of their meaning. */
export interface Feed {
  /** Begins at once and tells how it goes; the connection is used until `closed` or `finished` was told. */
  open(events: FeedEvents): Connection;
}

export interface FeedEvents {
  /** Frames can come now. @param isBehind those of the past come first, and `caughtUp` is told after them: no instrument is live before */
  opened(isBehind?: boolean): void;
  /** The frames that follow are of now. */
  caughtUp(): void;
  /**
   * Frames that follow are of a file, from its beginning: those that have been taken before are passed over.
   * @param identity the same for the same file, and no other
   * @param family given where rows that are added to the file make it another one: what identities of it begin with, and a "-"
   * @throws when another one of the family has been taken: which of its rows are new cannot be told
   */
  file(identity: string, family?: string): void;
  /** A frame as it came; `receivedAt` in epoch ms, for feeds that are not live. */
  frame(frame: string, receivedAt?: number): void;
  /** A frame that was not even looked at, such as one that is too large. */
  refused(reason: 'oversized' | 'schema', detail: string, frame: string): void;
  closed(reason: string): void;
  /** There is nothing more to come, now or later. */
  finished(): void;
}

export interface Connection {
  send(text: string): void;
  close(): void;
  /** Asks for no more frames for now, because those that came cannot be taken fast enough. */
  pause(): void;
  resume(): void;
}

/** Reads frames. Pure but for what it remembers of one connection; what it finds goes to the sink. */
export interface Protocol {
  /** What to send once connected; also forgets the connection before. */
  connected(): string[];
  /** Reads one frame and tells the sink what it was. Must not throw for anything a venue could send. */
  read(frame: string, sink: Sink): void;
  /** What to send so that a symbol’s book is sent whole again; none when only History can give it. */
  resync?(symbol: string): string[];
}

/** Takes what a protocol finds in a frame. Symbols are the venue’s own. */
export interface Sink {
  /** A trade of a file may have an empty id. `numbered`: the venue numbers this instrument’s trades without gaps, and `order` is that number. False where it is not taken. */
  trade(symbol: string, trade: Trade, numbered: boolean): boolean;
  /** A quote without `time` is one that the venue gives none. */
  quote(symbol: string, quote: Omit<Quote, 'time'> & { readonly time?: number }): void;
  bookReplaced(symbol: string, book: BookUpdate): void;
  bookUpdated(symbol: string, book: BookUpdate): void;
  /** The venue’s own candle, for comparison. */
  venueCandle(symbol: string, interval: Interval, candle: Candle, closed: boolean): void;
  /** A candle that is the data itself, because the feed has no trades. False where it is not taken, or may still change. */
  candle(symbol: string, interval: Interval, candle: Candle): boolean;
  /** False where it is not taken. */
  reading(symbol: string, reading: Reading): boolean;
  /** What the frame was: used, known and not used, or not understood. Exactly one of the three for every frame. */
  consumed(kind: string): void;
  ignored(kind: string): void;
  refused(detail: string): void;
}

/** A stretch without trades: what was known before it, and, when something has come since, what came first. */
export interface TradeGap {
  /** The newest trade before it; null when the instrument had none since we began to listen. */
  readonly after: Trade | null;
  /** Venue time from which trades may be missing, epoch ms: that of `after`, else when the connection was lost. */
  readonly since: number;
  readonly before: Trade | null;
}

/** Whether a trade lies in a gap; for venues whose history can only be asked for by time or page. */
export function isInGap(trade: Trade, { after, since, before }: TradeGap): boolean {
  const behind = after ? trade.order > after.order || (trade.order === after.order && trade.id !== after.id) : trade.time >= since;
  return behind && (before === null || trade.order < before.order || (trade.order === before.order && trade.id !== before.id));
}

export interface CandleHistory {
  readonly intervals: readonly Interval[];
  /** Candles with openings in [from, to), oldest first; one page of them at most. */
  read(symbol: string, interval: Interval, from: number, to: number, get: GetJson): Promise<Candle[]>;
}

/** What a venue serves of its past, over HTTP. */
export interface History {
  /** Trades after `gap.after` and before `gap.before` (or now), oldest first, page by page. */
  trades?(symbol: string, tradeGap: TradeGap, get: GetJson): AsyncIterable<Trade[]>;
  /**
   * Where the venue does not number its trades and sends them out of order: by how much, in ms. What a lost connection has missed may then be older than
   * what had come before it, and newer than what came first after it.
   */
  readonly disorderMs?: number;
  /** The venue’s own candles: the second best, for a gap whose trades cannot be had. */
  readonly candles?: CandleHistory;
  /** The whole book now. */
  book?(symbol: string, get: GetJson): Promise<BookUpdate>;
}

/** Fetches JSON, within the source’s rate limit, with every number as text where `digits` is set. */
export type GetJson = (path: string, digits?: 'as-text') => Promise<unknown>;

/** A source, ready to be supervised. */
export interface SourceParts {
  readonly feed: Feed;
  readonly protocol: Protocol;
  readonly history: History | null;
  readonly restUrl: string | null;
  /** Requests per second the venue allows to everyone, with a margin. */
  readonly restPerSecond: number;
  /** Each instrument’s pair (BASE-QUOTE) and the venue’s symbol for it. */
  readonly symbols: readonly { readonly pair: string; readonly symbol: string }[];
  readonly simulated: boolean;
  /** Whether trades happen while nobody listens, so that a lost connection leaves a gap. */
  readonly leavesGaps: boolean;
  /** Off for feeds that replay the past: their times are old and that is right. */
  readonly checkClock: boolean;
}
