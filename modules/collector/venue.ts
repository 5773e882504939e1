import type { History, Protocol } from './source.ts';

/** Kinds of data that a venue can be subscribed to. */
export type VenueChannel = 'trades' | 'quotes' | 'book' | 'candles';

/** A venue with a WebSocket and, for gaps, a REST API. One file under venues/ each. */
export interface Venue {
  readonly wsUrl: string;
  readonly restUrl: string;
  /** Requests per second to the REST API: half of what the documentation of the venue allows. */
  readonly restPerSecond: number;
  /** Symbol of the venue for a pair such as `BTC-USDT`. */
  symbol(pair: string, wsUrl: string): string;
  /** URL to connect to, where the subscriptions are part of it. Default: `wsUrl`. */
  url?(wsUrl: string, symbols: readonly string[], channels: readonly VenueChannel[]): string;
  protocol(symbols: readonly string[], channels: readonly VenueChannel[], wsUrl: string): Protocol;
  /** Null when the venue serves no history: gaps are then recorded and not filled. */
  history(wsUrl: string): History | null;
}

/** Venues by source type. */
export type Venues = Readonly<Record<string, Venue>>;
