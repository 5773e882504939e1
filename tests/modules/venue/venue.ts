import type { Protocol, Venue } from '@millrace/collector';

/** A frame of the venue, for example `{"type":"trade","symbol":"BTCUSD","id":1,"time":1767571200000,"price":"93000.10","size":"0.5","side":"buy"}`. */
interface Frame {
  readonly type: string;
  readonly symbol: string;
  readonly id: number;
  readonly time: number;
  readonly price: string;
  readonly size: string;
  readonly side: 'buy' | 'sell';
}

function exampleProtocol(symbols: readonly string[]): Protocol {
  return {
    connected: () => [JSON.stringify({ subscribe: symbols })],
    read: (frame, sink) => {
      const { type, symbol, id, time, price, size, side } = JSON.parse(frame) as Frame;
      if (type !== 'trade') return sink.ignored(type);
      sink.consumed('trade');
      sink.trade(symbol, { id: String(id), order: id, time, price, quantity: size, side }, true);
    },
  };
}

export const exampleVenue: Venue = {
  wsUrl: 'wss://ws.example',
  restUrl: 'https://api.example',
  restPerSecond: 5,
  symbol: (pair) => pair.replace('-', ''),
  protocol: exampleProtocol,
  history: () => null,
};
