import { type Static, Type } from 'typebox';
import { PairName } from '../market/instrument.ts';
import { Interval } from '../market/interval.ts';
import { strict } from '../strict.ts';

/*
 * Schemas of the entries of `sources` in the configuration, by source type. Durations are in milliseconds unless the name says otherwise.
 */

const SourceName = Type.String({
  pattern: '^[a-z0-9][a-z0-9-]{0,31}$',
  description: 'Id of the source. It is the first part of the ids of its instruments.',
  examples: ['binance'],
});

/** Keys of all source types. */
const everySource = {
  id: SourceName,
  staleAfterMs: Type.Optional(
    Type.Integer({
      minimum: 100,
      default: 30_000,
      description:
        'Time without any frame of the source after which it reconnects and all of its instruments become stale, ms; for a poll at least two of its ' +
        'intervals, for a file never. When the connection is lost, its instruments become stale at once. One silent instrument among others does not.',
    }),
  ),
  reconnectMaxMs: Type.Optional(
    Type.Integer({ minimum: 100, default: 30_000, description: 'Longest wait between two connection attempts, ms.' }),
  ),
  negativePrices: Type.Optional(
    Type.Array(PairName, {
      maxItems: 512,
      uniqueItems: true,
      default: [],
      description: 'Pairs whose prices may be zero or negative: spreads, power, some futures. For other pairs such prices are rejected.',
    }),
  ),
};

/** Default URLs of a venue. */
export interface VenueUrls {
  readonly wsUrl: string;
  readonly restUrl: string;
}

/** Schema of the sources of a venue. @param type source type, for example `binance` */
export const exchangeSource = <T extends string>(type: T, description: string, urls: VenueUrls) =>
  Type.Object(
    {
      ...everySource,
      type: Type.Literal(type),
      instruments: Type.Array(PairName, { minItems: 1, maxItems: 512, description: 'Pairs to subscribe to, as BASE-QUOTE.' }),
      channels: Type.Optional(
        Type.Array(Type.Enum(['trades', 'quotes', 'book', 'candles']), {
          minItems: 1,
          uniqueItems: true,
          default: ['trades', 'quotes'],
          description: 'Data to subscribe to. `candles` are venue candles, compared with ours.',
        }),
      ),
      wsUrl: Type.Optional(Type.String({ default: urls.wsUrl, pattern: '^wss?://', description: 'URL of the WebSocket.' })),
      restUrl: Type.Optional(
        Type.String({
          default: urls.restUrl,
          pattern: '^https?://',
          description: 'URL of the REST API with the history, used to fill gaps.',
        }),
      ),
      backfill: Type.Optional(Type.Boolean({ default: true, description: 'If true, gaps are filled from the history of the venue.' })),
    },
    { ...strict, description },
  );

const FieldPath = Type.String({
  description: 'Path of a value in an item: keys and indices joined by dots. Empty: the item itself. "$" starts at the message.',
  examples: ['price', 'data.0.last', '$.channel'],
});

/** Rule that accepts unlisted symbols as instruments. */
export const Matching = Type.Object(
  {
    symbol: Type.String({
      minLength: 1,
      maxLength: 256,
      description: 'Regular expression that the whole symbol must match. Symbols have at most 64 characters.',
      examples: ['([A-Z]{3,5})(USDT|KRW)'],
    }),
    pair: Type.String({
      minLength: 1,
      maxLength: 128,
      description:
        'Template of the pair, as BASE-QUOTE. $1 to $9 are the groups of the expression, $0 is the symbol. The result is upper case.',
      examples: ['$1-$2'],
    }),
    instrumentsMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 512,
        default: 100,
        description: 'Maximum number of instruments that the source accepts by such rules. The largest value of all mappings applies.',
      }),
    ),
  },
  {
    ...strict,
    description: 'Accepts unlisted symbols as instruments when they first appear. For sources of type websocket and http-poll.',
  },
);
export type Matching = Static<typeof Matching>;

/** Mapping from the messages of any JSON feed or file to trades, quotes, candles or readings. */
export const Mapping = Type.Object(
  {
    as: Type.Enum(['trades', 'quotes', 'candles', 'readings']),
    items: Type.Optional(Type.String({ default: '', description: 'Path of the array of items. Empty: the message is one item.' })),
    where: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
        description: 'Conditions: path and value. Only messages in which each path has its value are used.',
      }),
    ),
    instrument: Type.Optional(FieldPath),
    pair: Type.Optional(PairName),
    pairs: Type.Optional(Type.Record(Type.String(), PairName, { description: 'Pairs by the symbols of the feed.' })),
    matching: Type.Optional(Matching),
    time: Type.Optional(FieldPath),
    timeUnit: Type.Optional(Type.Enum(['ms', 's', 'us', 'ns', 'iso'], { default: 'ms' })),
    interval: Type.Optional(Interval),
    fields: Type.Record(Type.String(), FieldPath, {
      description:
        'Paths by field. trades: price, quantity, optionally id, side, sequence (an integer, orders trades of one time). quotes: bid, ask, bidQuantity, askQuantity. candles: open, high, low, close, volume. readings: a name for each value.',
    }),
  },
  { ...strict, description: 'Mapping from messages to data.' },
);
export type Mapping = Static<typeof Mapping>;

const Mappings = Type.Array(Mapping, { minItems: 1, maxItems: 64 });

export const SimulatorSource = Type.Object(
  {
    ...everySource,
    type: Type.Literal('simulator'),
    instruments: Type.Array(PairName, { minItems: 1, maxItems: 512 }),
    seed: Type.Optional(Type.Integer({ minimum: 0, default: 1, description: 'Seed. The same seed gives the same market.' })),
    tradesPerSecond: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 100_000,
        default: 4,
        description: 'Mean number of trades per second of each instrument.',
      }),
    ),
    historyMinutes: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_440,
        default: 180,
        description: 'Length of the history that is generated at the first start, minutes.',
      }),
    ),
  },
  { ...strict, description: 'Simulated market for tests and demos.' },
);
export type SimulatorSource = Static<typeof SimulatorSource>;

export const ExchangeSource = Type.Union([
  exchangeSource('binance', 'Binance spot', { wsUrl: 'wss://stream.binance.com:9443', restUrl: 'https://api.binance.com' }),
  exchangeSource('binance-futures', 'Binance USD-M futures', { wsUrl: 'wss://fstream.binance.com', restUrl: 'https://fapi.binance.com' }),
  exchangeSource('coinbase', 'Coinbase Exchange', {
    wsUrl: 'wss://ws-feed.exchange.coinbase.com',
    restUrl: 'https://api.exchange.coinbase.com',
  }),
  exchangeSource('kraken', 'Kraken, WebSocket v2 (v1 where the URL has no /v2)', {
    wsUrl: 'wss://ws.kraken.com/v2',
    restUrl: 'https://api.kraken.com',
  }),
  exchangeSource('upbit', 'Upbit', { wsUrl: 'wss://api.upbit.com/websocket/v1', restUrl: 'https://api.upbit.com' }),
]);
export type ExchangeSource = Static<typeof ExchangeSource>;

export const HttpPollSource = Type.Object(
  {
    ...everySource,
    type: Type.Literal('http-poll'),
    url: Type.String({ pattern: '^https?://' }),
    everyMs: Type.Optional(Type.Integer({ minimum: 100, default: 5_000 })),
    headers: Type.Optional(Type.Record(Type.String(), Type.String())),
    map: Mappings,
  },
  { ...strict, description: 'JSON document at a URL, polled repeatedly.' },
);
export type HttpPollSource = Static<typeof HttpPollSource>;

export const WebSocketSource = Type.Object(
  {
    ...everySource,
    type: Type.Literal('websocket'),
    url: Type.String({ pattern: '^wss?://' }),
    send: Type.Optional(
      Type.Array(Type.Unknown(), { maxItems: 64, description: 'Messages to send after each connect, such as subscriptions.' }),
    ),
    map: Mappings,
  },
  { ...strict, description: 'JSON feed over a WebSocket.' },
);
export type WebSocketSource = Static<typeof WebSocketSource>;

export const FileSource = Type.Object(
  {
    ...everySource,
    type: Type.Literal('file'),
    path: Type.String({ minLength: 1 }),
    format: Type.Optional(Type.Enum(['csv', 'jsonl', 'parquet'], { description: 'Format of the file. Default: from the file extension.' })),
    follow: Type.Optional(Type.Boolean({ default: false, description: 'If true, waits for lines that are appended later.' })),
    map: Mappings,
  },
  { ...strict, description: 'Rows of a CSV, JSON lines or Parquet file.' },
);
export type FileSource = Static<typeof FileSource>;

export const SourceConfig = Type.Union([SimulatorSource, ...ExchangeSource.anyOf, HttpPollSource, WebSocketSource, FileSource]);
export type SourceConfig = Static<typeof SourceConfig>;
