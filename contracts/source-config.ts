import { type Static, Type } from 'typebox';
import { PairName } from './instrument.ts';
import { Interval } from './interval.ts';

/*
 * What `sources` of the configuration may list: every kind of outside feed with its keys. Durations are in milliseconds unless the name says otherwise.
 */

const strict = { additionalProperties: false };

const SourceName = Type.String({
  pattern: '^[a-z0-9][a-z0-9-]{0,31}$',
  description: 'Name of the source; the first part of its instruments’ ids.',
  examples: ['binance'],
});

/** Keys that every source understands. */
const everySource = {
  id: SourceName,
  staleAfterMs: Type.Optional(
    Type.Integer({
      minimum: 100,
      default: 30_000,
      description: 'Silence after which the source is reconnected and its instruments are stale.',
    }),
  ),
  reconnectMaxMs: Type.Optional(
    Type.Integer({ minimum: 100, default: 30_000, description: 'Longest wait between two attempts to connect.' }),
  ),
  negativePrices: Type.Optional(
    Type.Array(PairName, {
      maxItems: 512,
      uniqueItems: true,
      default: [],
      description:
        'Pairs of this source whose prices may be zero or below: spreads, power, some futures. Of other pairs such prices are refused.',
    }),
  ),
};

const exchange = <T extends string>(type: T, description: string, urls: { wsUrl: string; restUrl: string }) =>
  Type.Object(
    {
      ...everySource,
      type: Type.Literal(type),
      instruments: Type.Array(PairName, { minItems: 1, maxItems: 512, description: 'Pairs to watch, as BASE-QUOTE.' }),
      channels: Type.Optional(
        Type.Array(Type.Enum(['trades', 'quotes', 'book', 'candles']), {
          minItems: 1,
          uniqueItems: true,
          default: ['trades', 'quotes'],
          description: 'What to subscribe to; `candles` are the venue’s own, for comparison with ours.',
        }),
      ),
      wsUrl: Type.Optional(Type.String({ default: urls.wsUrl, pattern: '^wss?://', description: 'Where its WebSocket is.' })),
      restUrl: Type.Optional(
        Type.String({ default: urls.restUrl, pattern: '^https?://', description: 'Where its history is; holes are filled from there.' }),
      ),
      backfill: Type.Optional(Type.Boolean({ default: true, description: 'Whether holes are filled from the venue’s history.' })),
    },
    { ...strict, description },
  );

const FieldPath = Type.String({
  description:
    'Where a value lies in an item: keys and indices joined by dots; empty for the item itself. A path that begins with "$" starts at the message around it.',
  examples: ['price', 'data.0.last', '$.channel'],
});

/** Which symbols are taken as instruments although no mapping names them. */
export const Matching = Type.Object(
  {
    symbol: Type.String({
      minLength: 1,
      maxLength: 256,
      description: 'A regular expression that the whole symbol must match; symbols have 64 characters at most.',
      examples: ['([A-Z]{3,5})(USDT|KRW)'],
    }),
    pair: Type.String({
      minLength: 1,
      maxLength: 128,
      description:
        'The pair, as BASE-QUOTE, with $1 to $9 for the groups of the expression and $0 for the symbol; letters become capitals.',
      examples: ['$1-$2'],
    }),
    instrumentsMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 512,
        default: 100,
        description: 'How many instruments the source takes in this way; of several mappings the largest number counts.',
      }),
    ),
  },
  { ...strict, description: 'Symbols that become instruments when they come. Sources of type websocket and http-poll.' },
);
export type Matching = Static<typeof Matching>;

/** How a message of a feed that we know nothing about becomes trades, quotes, candles or readings. */
export const Mapping = Type.Object(
  {
    as: Type.Enum(['trades', 'quotes', 'candles', 'readings']),
    items: Type.Optional(Type.String({ default: '', description: 'Path of the list of items; empty when the message is one item.' })),
    where: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
        description: 'Only messages in which each path has this value.',
      }),
    ),
    instrument: Type.Optional(FieldPath),
    pair: Type.Optional(PairName),
    pairs: Type.Optional(Type.Record(Type.String(), PairName, { description: 'The feed’s own names, each with its pair.' })),
    matching: Type.Optional(Matching),
    time: Type.Optional(FieldPath),
    timeUnit: Type.Optional(Type.Enum(['ms', 's', 'us', 'ns', 'iso'], { default: 'ms' })),
    interval: Type.Optional(Interval),
    fields: Type.Record(Type.String(), FieldPath, {
      description:
        'trades: price, quantity, and where there are such id, side, sequence (a whole number that tells the order of trades of one time); quotes: bid, ask, bidQuantity, askQuantity; candles: open, high, low, close, volume; readings: a name for each value.',
    }),
  },
  { ...strict, description: 'How messages become data.' },
);
export type Mapping = Static<typeof Mapping>;

const Mappings = Type.Array(Mapping, { minItems: 1, maxItems: 64 });

export const SimulatorSource = Type.Object(
  {
    ...everySource,
    type: Type.Literal('simulator'),
    instruments: Type.Array(PairName, { minItems: 1, maxItems: 512 }),
    seed: Type.Optional(Type.Integer({ minimum: 0, default: 1, description: 'The same seed gives the same market.' })),
    tradesPerSecond: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, maximum: 100_000, default: 4, description: 'Mean rate for each instrument.' }),
    ),
    historyMinutes: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 1_440, default: 180, description: 'How much past it makes up at the first start.' }),
    ),
  },
  { ...strict, description: 'A made-up market, for trying things out.' },
);
export type SimulatorSource = Static<typeof SimulatorSource>;

export const ExchangeSource = Type.Union([
  exchange('binance', 'Binance spot', { wsUrl: 'wss://stream.binance.com:9443', restUrl: 'https://api.binance.com' }),
  exchange('binance-futures', 'Binance USD-M futures', { wsUrl: 'wss://fstream.binance.com', restUrl: 'https://fapi.binance.com' }),
  exchange('coinbase', 'Coinbase Exchange', { wsUrl: 'wss://ws-feed.exchange.coinbase.com', restUrl: 'https://api.exchange.coinbase.com' }),
  exchange('kraken', 'Kraken, WebSocket v2 (v1 where the URL has no /v2)', {
    wsUrl: 'wss://ws.kraken.com/v2',
    restUrl: 'https://api.kraken.com',
  }),
  exchange('upbit', 'Upbit', { wsUrl: 'wss://api.upbit.com/websocket/v1', restUrl: 'https://api.upbit.com' }),
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
  { ...strict, description: 'Any JSON document behind a URL, fetched again and again.' },
);
export type HttpPollSource = Static<typeof HttpPollSource>;

export const WebSocketSource = Type.Object(
  {
    ...everySource,
    type: Type.Literal('websocket'),
    url: Type.String({ pattern: '^wss?://' }),
    send: Type.Optional(
      Type.Array(Type.Unknown(), { maxItems: 64, description: 'Messages to send after connecting, such as subscriptions.' }),
    ),
    map: Mappings,
  },
  { ...strict, description: 'Any JSON feed over a WebSocket.' },
);
export type WebSocketSource = Static<typeof WebSocketSource>;

export const FileSource = Type.Object(
  {
    ...everySource,
    type: Type.Literal('file'),
    path: Type.String({ minLength: 1 }),
    format: Type.Optional(Type.Enum(['csv', 'jsonl', 'parquet'], { description: 'Told by the file’s ending when left out.' })),
    follow: Type.Optional(Type.Boolean({ default: false, description: 'Wait for lines that are appended later.' })),
    map: Mappings,
  },
  { ...strict, description: 'Rows of a file.' },
);
export type FileSource = Static<typeof FileSource>;

export const SourceConfig = Type.Union([SimulatorSource, ...ExchangeSource.anyOf, HttpPollSource, WebSocketSource, FileSource]);
export type SourceConfig = Static<typeof SourceConfig>;

export const SOURCE_TYPES = [
  'simulator',
  'binance',
  'binance-futures',
  'coinbase',
  'kraken',
  'upbit',
  'http-poll',
  'websocket',
  'file',
] as const;
