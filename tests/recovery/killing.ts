import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { TIME_FACTOR, until } from '@millrace/testing';
import { readEvents } from '../event-stream.ts';
import { type ServerProcess, startServer } from '../server.ts';
import { type MadeUpTrade, writeFrames } from './made-up-frames.ts';

/** Frames per second during the kill. */
const FRAMES_PER_SECOND = 20_000;
export const PAIRS = ['AAA-USDT', 'BBB-USDT', 'CCC-USDT', 'DDD-USDT', 'EEE-USDT', 'FFF-USDT', 'GGG-USDT', 'HHH-USDT'];
const SECONDS = 4;
const TOLD_WITHIN_MS = 60_000;
/** Interval at which the number of durable events is read. */
const ASK_MS = 50;

/** A trade that a subscriber received. */
interface Told {
  readonly pair: string;
  readonly id: number;
  /** Epoch ms. */
  readonly at: number;
}

export interface Killed {
  /** Trades that a subscriber of all trades received until the kill. */
  readonly told: readonly Told[];
  /** Number of events that the server had reported as durable before the kill. */
  readonly reported: number;
  /** Epoch ms. */
  readonly killedAt: number;
  /** Data folder of both servers. */
  readonly data: string;
  /** The restarted server on the same data; its series have all events of the log. */
  readonly again: ServerProcess;
  end(): Promise<void>;
}

/** Writes the frames that servers in this folder replay. @returns their trades in order */
export async function prepareReplay(folder: string): Promise<MadeUpTrade[]> {
  const source = { id: 'binance', type: 'binance', instruments: PAIRS, wsUrl: 'ws://127.0.0.1:9', backfill: false };
  writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [source], worlds: { enabled: false } }));
  return writeFrames(join(folder, 'frames.txt'), { frames: FRAMES_PER_SECOND * SECONDS, perSecond: FRAMES_PER_SECOND, pairs: PAIRS });
}

/** Kills a server (SIGKILL) when a subscriber has received this number of trades, and restarts it. */
export async function killAfter(trades: number, folder: string, name: string): Promise<Killed> {
  const data = join(folder, `data-${name}`);
  const replay = ['replay', join(folder, 'frames.txt'), '--source', 'binance', '--speed', '1', '--port', '0', '--data', data];
  const first = await startServer(replay, { cwd: folder });
  const told: Told[] = [];
  let reported = 0;
  const channels = PAIRS.map((pair) => `trades:binance:${pair}`).join(',');
  const enough = Promise.withResolvers<void>();
  const late = globalThis.setTimeout(
    () => enough.reject(new Error(`${told.length} of ${trades} trades were told`)),
    TOLD_WITHIN_MS * TIME_FACTOR,
  );
  const heard = readEvents(`${first.url}/api/v1/stream?channels=${channels}`, {}, ({ event, data: message, receivedAt }) => {
    const { channel, data: trade } = message as { channel: string; data: { id: string } };
    if (event === 'trade') told.push({ pair: channel.slice('trades:binance:'.length), id: Number(trade.id), at: receivedAt });
    if (told.length >= trades) enough.resolve();
    return true;
  });
  const asking = (async () => {
    for (;;) {
      reported = (await metric(first.url, 'millrace_events_appended_total')) ?? reported;
      await setTimeout(ASK_MS);
    }
  })().catch(() => {});
  await enough.promise.finally(() => clearTimeout(late));
  const killedAt = Date.now();
  await first.kill();
  await Promise.all([heard, asking]);
  const again = await startServer(['up', '--port', '0', '--data', data], { cwd: folder });
  await until(async () => (await metric(again.url, 'millrace_consumer_lag_events')) === 0, 'the series have all events');
  return {
    told,
    reported,
    killedAt,
    data,
    again,
    end: async () => {
      await again.kill();
      rmSync(data, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}

/** Sum of the values of a metric; undefined for an unknown metric. */
async function metric(url: string, name: string): Promise<number | undefined> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const values = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return values.length === 0 ? undefined : values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
