import { Random, seedOf } from '@millrace/base/random';
import type { Feed, Protocol } from '../source.ts';

/*
 * A simulated market with realistic statistics: log-normal prices with clustered volatility, arrivals in bursts, heavy-tailed sizes, sides
 * that follow the move. The same seed gives the same trades.
 */

const MINUTE_MS = 60_000;
/** Trades per step while the past is simulated. */
const HISTORY_BATCH = 500;
/** Annualised volatility of the log return, of a volatile crypto pair. */
const VOLATILITY_YEARLY = 0.9;
const MS_PER_YEAR = 365 * 24 * 60 * MINUTE_MS;
/** Interval of steps of the live market, ms. */
const STEP_MS = 50;

/** First prices of well-known assets, USD. */
const KNOWN_PRICE: Record<string, number> = { BTC: 64_000, ETH: 3_200, SOL: 150, XRP: 0.6, DOGE: 0.12, ADA: 0.45, BNB: 560, LINK: 14 };
const KRW_PER_USD = 1_380;

interface SimulatedFrame {
  readonly s: string;
  readonly n: number;
  /** Position among the trades of the same millisecond. */
  readonly k: number;
  readonly t: number;
  readonly p: string;
  readonly q: string;
  readonly side: 'buy' | 'sell';
  readonly bid: string;
  readonly ask: string;
}

/** The market of one instrument. `next` returns the next trade. */
export class SimulatedMarket {
  readonly #pair: string;
  readonly #random: Random;
  readonly #decimals: number;
  readonly #meanGapMs: number;
  #price: number;
  #excitement = 1;
  #number = 0;
  #inSameMs = 0;
  #time: number;

  constructor(pair: string, seed: number, start: number, tradesPerSecond: number, price?: number) {
    const [base = '', quote = ''] = pair.split('-');
    this.#pair = pair;
    this.#random = new Random(seedOf(`${pair}/${seed}`));
    const usual = (KNOWN_PRICE[base] ?? 1 + this.#random.next() * 99) * (quote === 'KRW' ? KRW_PER_USD : 1);
    this.#price = price ?? usual;
    this.#decimals = Math.max(0, Math.min(8, 5 - Math.floor(Math.log10(usual))));
    this.#meanGapMs = 1_000 / tradesPerSecond;
    this.#time = start;
  }

  /** Time of the last trade, epoch ms. */
  get time(): number {
    return this.#time;
  }

  next(): SimulatedFrame {
    const gap = (-Math.log(1 - this.#random.next()) * this.#meanGapMs) / this.#excitement;
    const before = Math.floor(this.#time);
    this.#time += gap;
    this.#inSameMs = Math.floor(this.#time) === before ? this.#inSameMs + 1 : 0;
    // Volatility reverts to its mean, and jumps at times.
    this.#excitement += (1 - this.#excitement) * 0.02 + (this.#random.next() < 0.004 ? this.#random.next() * 3 : 0);
    const sigma = VOLATILITY_YEARLY * this.#excitement * Math.sqrt(gap / MS_PER_YEAR);
    const move = sigma * this.#gaussian();
    this.#price *= Math.exp(move);
    const tick = 10 ** -this.#decimals;
    const spread = Math.max(tick, this.#price * 0.00005 * this.#excitement);
    const side = this.#random.next() < 0.5 + Math.sign(move) * 0.15 ? 'buy' : 'sell';
    const quantity = Math.exp(this.#gaussian() * 1.2 - 1) * (1_000 / this.#price);
    return {
      s: this.#pair,
      n: ++this.#number,
      k: this.#inSameMs,
      t: Math.floor(this.#time),
      p: (this.#price + (side === 'buy' ? spread / 2 : -spread / 2)).toFixed(this.#decimals),
      q: Math.max(quantity, 1e-6).toFixed(6),
      side,
      bid: (this.#price - spread / 2).toFixed(this.#decimals),
      ask: (this.#price + spread / 2).toFixed(this.#decimals),
    };
  }

  /** A normally distributed number, by the Box-Muller transform. */
  #gaussian(): number {
    return Math.sqrt(-2 * Math.log(1 - this.#random.next())) * Math.cos(2 * Math.PI * this.#random.next());
  }
}

export interface SimulatorOptions {
  readonly pairs: readonly string[];
  readonly seed: number;
  readonly tradesPerSecond: number;
  readonly historyMinutes: number;
  readonly now: () => number;
  /** The newest recorded trade of a pair, from which its market continues. */
  readonly goOnFrom: (pair: string) => { time: number; price: number } | null;
  /** Time at which it ends, epoch ms; it runs as fast as possible. Null: it follows the clock without an end. */
  readonly until: number | null;
}

/**
 * Frames of the simulated venue. Without recorded trades it simulates a past first; else it continues from the newest one, also after a pause
 * or a restart.
 */
export function simulatorFeed(options: SimulatorOptions): Feed {
  const markets = options.pairs.map((pair) => {
    const begin = options.now() - options.historyMinutes * MINUTE_MS;
    const last = options.goOnFrom(pair);
    return new SimulatedMarket(pair, options.seed, Math.max(begin, last?.time ?? 0), options.tradesPerSecond, last?.price);
  });
  const pending = new Map(markets.map((market) => [market, market.next()]));
  return {
    open(events) {
      let timer: NodeJS.Timeout | undefined;
      let closed = false;
      let paused = false;
      let isBehind = options.until === null;
      const emitUpTo = (time: number): boolean => {
        let left = HISTORY_BATCH;
        for (const market of markets) {
          for (let frame = pending.get(market); frame && frame.t <= time && left > 0; frame = pending.get(market)) {
            events.frame(JSON.stringify(frame), frame.t);
            pending.set(market, market.next());
            left--;
          }
        }
        return left > 0;
      };
      const run = () => {
        if (closed) return;
        const caughtUp = paused || emitUpTo(options.until ?? options.now());
        if (!caughtUp) return void setImmediate(run);
        if (options.until !== null && !paused) return events.finished();
        if (isBehind && !paused) {
          isBehind = false;
          events.caughtUp();
        }
        timer = setTimeout(run, STEP_MS);
      };
      setImmediate(() => {
        if (closed) return;
        events.opened(isBehind);
        run();
      });
      return {
        send: () => {},
        close: () => {
          closed = true;
          clearTimeout(timer);
        },
        pause: () => {
          paused = true;
        },
        resume: () => {
          paused = false;
        },
      };
    },
  };
}

export function simulatorProtocol(): Protocol {
  return {
    connected: () => [],
    read(text, sink) {
      const frame = JSON.parse(text) as SimulatedFrame;
      sink.consumed('trade');
      sink.trade(
        frame.s,
        {
          id: `${frame.t}-${frame.n}`,
          order: frame.t * 1_000 + frame.k,
          time: frame.t,
          price: frame.p,
          quantity: frame.q,
          side: frame.side,
        },
        false,
      );
      sink.quote(frame.s, { time: frame.t, bid: frame.bid, bidQuantity: frame.q, ask: frame.ask, askQuantity: frame.q });
    },
  };
}
