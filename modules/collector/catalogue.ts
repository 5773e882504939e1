import { type ExchangeSource, type InstrumentZones, instrumentId, type SourceConfig } from '@millrace/contracts';
import { type FileFormat, fileFeed, formatOf } from './feeds/file.ts';
import { pollFeed } from './feeds/poll.ts';
import { websocketFeed } from './feeds/websocket.ts';
import type { SourceParts } from './source.ts';
import type { Venue, VenueChannel, Venues } from './venue.ts';
import { binanceHistory, binanceProtocol, binanceSymbol, binanceUrl } from './venues/binance.ts';
import { coinbaseHistory, coinbaseProtocol } from './venues/coinbase.ts';
import { krakenHistory, krakenSymbol, krakenV1Protocol, krakenV2Protocol } from './venues/kraken.ts';
import { mappedProtocol, mappedTime, symbolsOf } from './venues/mapped.ts';
import { simulatorFeed, simulatorProtocol } from './venues/simulator.ts';
import { upbitHistory, upbitProtocol, upbitSymbol } from './venues/upbit.ts';

const krakenVersion = (wsUrl: string): 1 | 2 => (/\/v2\/?$/.test(wsUrl) ? 2 : 1);

const VENUES: Record<ExchangeSource['type'], Venue> = {
  binance: {
    wsUrl: 'wss://stream.binance.com:9443',
    restUrl: 'https://api.binance.com',
    restPerSecond: 10,
    symbol: binanceSymbol,
    url: binanceUrl,
    protocol: () => binanceProtocol('spot'),
    history: () => binanceHistory('spot'),
  },
  'binance-futures': {
    wsUrl: 'wss://fstream.binance.com',
    restUrl: 'https://fapi.binance.com',
    restPerSecond: 10,
    symbol: binanceSymbol,
    url: binanceUrl,
    protocol: () => binanceProtocol('futures'),
    history: () => binanceHistory('futures'),
  },
  coinbase: {
    wsUrl: 'wss://ws-feed.exchange.coinbase.com',
    restUrl: 'https://api.exchange.coinbase.com',
    restPerSecond: 5,
    symbol: (pair) => pair,
    protocol: (symbols, channels) => coinbaseProtocol(symbols, channels),
    history: () => coinbaseHistory(),
  },
  kraken: {
    wsUrl: 'wss://ws.kraken.com/v2',
    restUrl: 'https://api.kraken.com',
    restPerSecond: 1,
    symbol: (pair, wsUrl) => krakenSymbol(pair, krakenVersion(wsUrl)),
    protocol: (symbols, channels, wsUrl) =>
      krakenVersion(wsUrl) === 1 ? krakenV1Protocol(symbols, channels) : krakenV2Protocol(symbols, channels),
    history: (wsUrl) => krakenHistory(krakenVersion(wsUrl)),
  },
  upbit: {
    wsUrl: 'wss://api.upbit.com/websocket/v1',
    restUrl: 'https://api.upbit.com',
    restPerSecond: 5,
    symbol: upbitSymbol,
    protocol: upbitProtocol,
    history: () => upbitHistory(),
  },
};

/** Composes a source from its configuration. @param venues venues in addition to those of Millrace */
export function partsOf(config: SourceConfig, market: InstrumentZones, now: () => number, venues: Venues = {}): SourceParts {
  switch (config.type) {
    case 'simulator':
      return {
        ...WITHOUT_HISTORY,
        simulated: true,
        symbols: config.instruments.map((pair) => ({ pair, symbol: pair })),
        feed: simulatorFeed({
          pairs: config.instruments,
          seed: config.seed ?? 1,
          tradesPerSecond: config.tradesPerSecond ?? 4,
          historyMinutes: config.historyMinutes ?? 180,
          now,
          goOnFrom: (pair) => {
            const last = market.lastTrade(instrumentId(config.id, pair));
            return last && { time: last.time, price: Number(last.price) };
          },
          until: null,
        }),
        protocol: simulatorProtocol(),
      };
    case 'http-poll': {
      const everyMs = config.everyMs ?? 5_000;
      return {
        ...WITHOUT_HISTORY,
        leavesGaps: true,
        quietMsMax: 2 * everyMs,
        symbols: symbolsOf(config.map),
        feed: pollFeed(config.url, everyMs, config.headers ?? {}),
        protocol: mappedProtocol(config.map, { now, ofDocument: true }),
      };
    }
    case 'websocket':
      return {
        ...WITHOUT_HISTORY,
        leavesGaps: true,
        symbols: symbolsOf(config.map),
        feed: websocketFeed(config.url),
        protocol: mappedProtocol(config.map, { greetings: config.send ?? [], now }),
      };
    case 'file':
      return {
        ...WITHOUT_HISTORY,
        quietMsMax: Number.POSITIVE_INFINITY,
        symbols: symbolsOf(config.map),
        feed: fileFeed({
          path: config.path,
          format: config.format ?? (formatOf(config.path) as FileFormat),
          follow: config.follow ?? false,
          timeOf: mappedTime(config.map),
        }),
        protocol: mappedProtocol(config.map, { now, ofFile: true }),
      };
    default:
      return exchangeParts(config, venues[config.type] ?? VENUES[config.type]);
  }
}

function exchangeParts(config: ExchangeSource, venue: Venue): SourceParts {
  const wsUrl = config.wsUrl ?? venue.wsUrl;
  const channels = (config.channels ?? ['trades', 'quotes']) as VenueChannel[];
  const symbols = config.instruments.map((pair) => ({ pair, symbol: venue.symbol(pair, wsUrl) }));
  const names = symbols.map(({ symbol }) => symbol);
  return {
    simulated: false,
    checkClock: true,
    leavesGaps: true,
    symbols,
    feed: websocketFeed(venue.url?.(wsUrl, names, channels) ?? wsUrl),
    protocol: venue.protocol(names, channels, wsUrl),
    history: config.backfill === false ? null : venue.history(wsUrl),
    restUrl: config.restUrl ?? venue.restUrl,
    restPerSecond: venue.restPerSecond,
  };
}

const WITHOUT_HISTORY = { simulated: false, checkClock: false, leavesGaps: false, history: null, restUrl: null, restPerSecond: 1 };
