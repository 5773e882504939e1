import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Feed } from '@millrace/collector';
import { loadConfig } from '@millrace/config';
import type { ExchangeSource } from '@millrace/contracts';
import { modulesWith } from '../apps/server/modules.ts';
import { startPlatform } from '../apps/server/platform.ts';
import { inFolder, quantile, report } from './measure.ts';

/*
 * Latency from a received frame to its event at a client, at 10,000 frames per second. The frame contains the time at which it was sent.
 * A client in another process on the same machine compares that time with its clock. The result includes the socket, so it is an upper bound.
 * The baseline is a server that only writes the same events to a stream at the same rate. Both run in alternating turns of two seconds, so that
 * other load affects them equally. The world is disabled, because its processes would use the same two cores.
 */

const FRAMES_PER_SECOND = 10_000;
const TURN_SECONDS = 2;
/** Turns of each variant; the first is a warm-up. */
const TURNS = 8;
/** Pause after a turn, ms, so that its last events are read before the next turn starts. */
const PAUSE_MS = 200;
/** Newest trade id. Ids are unique, also within one microsecond. */
let lastMicros = 0;
const PAIRS = ['AAA-USDT', 'BBB-USDT', 'CCC-USDT', 'DDD-USDT'];

await inFolder(measure);

async function measure(folder: string): Promise<void> {
  let sendFrame: ((frame: string) => void) | null = null;
  const feed: Feed = {
    open(events) {
      setImmediate(() => events.opened());
      sendFrame = (frame) => events.frame(frame);
      return { send: () => {}, close: () => {}, pause: () => {}, resume: () => {} };
    },
  };
  const source = { id: 'binance', type: 'binance', instruments: PAIRS, channels: ['trades'] } as ExchangeSource;
  const settings = loadConfig({
    file: undefined,
    folder,
    environment: { MILLRACE_LOGGING__LEVEL: 'silent', MILLRACE_DEMO: 'true', MILLRACE_WORLDS__ENABLED: 'false' },
    flags: { data: folder, port: 0 },
  });
  const running = await startPlatform({
    settings: { ...settings, sources: [source] },
    console: folder,
    modules: modulesWith({
      adjust: (_config, parts) => ({
        ...parts,
        feed,
        history: null,
        leavesHoles: false,
        checkClock: false,
        protocol: { ...parts.protocol, read: unnumbered(parts.protocol.read) },
      }),
    }),
  });
  const url = `${running.url}/api/v1/stream?channels=${PAIRS.map((pair) => `trades:binance:${pair}`).join(',')}`;
  const bare = await bareSocket();
  const latencies = await read(url);
  for (let turn = 0; turn < TURNS; turn++) {
    await runTurn(bare.write);
    await runTurn((index) => sendFrame?.(frameAt(index)));
  }
  await running.stop();
  const [measured, bareMeasured] = [await latencies(), await bare.close()];
  const p = (share: number) => quantile(measured, share);
  report({
    what: `frame received -> event at the client, p99 at ${FRAMES_PER_SECOND.toLocaleString('en')} frames/s`,
    ours: p(0.99),
    bare: quantile(bareMeasured, 0.99),
    unit: 'ms',
    budget: { kind: '<=', value: 20 },
    note: `p50 ${p(0.5).toFixed(1)} ms, ${measured.length} events`,
  });
}

/** Starts a reader of a stream. Returns a function that waits for its end and gives the age of each event on arrival, ms, without the first turn. */
async function read(url: string): Promise<() => Promise<number[]>> {
  const reader = fork(join(import.meta.dirname, 'latency-reader.ts'), [url], { execArgv: [] });
  await once(reader, 'message');
  const message = once(reader, 'message');
  return async () => ((await message) as [number[]])[0].slice(FRAMES_PER_SECOND * TURN_SECONDS);
}

/** Calls `send` at the measured rate, for one turn. */
async function runTurn(send: (index: number) => void): Promise<void> {
  const started = performance.now();
  for (let sent = 0; sent < FRAMES_PER_SECOND * TURN_SECONDS; await setTimeout(1)) {
    const due = Math.floor(((performance.now() - started) / 1_000) * FRAMES_PER_SECOND);
    for (; sent < due; sent++) send(sent);
  }
  await setTimeout(PAUSE_MS);
}

/** A server that only writes events to a stream, with a reader. */
async function bareSocket(): Promise<{ write(): void; close(): Promise<number[]> }> {
  const opened = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n');
    opened.resolve(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const readLatencies = await read(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const stream = await opened.promise;
  return {
    write: () =>
      stream.write(`event: trade\ndata: {"channel":"trades:binance:AAA-USDT","data":{"id":"${uniqueMicros()}","price":"100.50"}}\n\n`),
    close: async () => {
      stream.end();
      const latencies = await readLatencies();
      server.close();
      return latencies;
    },
  };
}

/** Current time in microseconds since 1970, increasing with each call. */
function uniqueMicros(): number {
  lastMicros = Math.max(lastMicros + 1, Math.floor((performance.timeOrigin + performance.now()) * 1_000));
  return lastMicros;
}

function frameAt(index: number): string {
  const pair = (PAIRS[index % PAIRS.length] as string).replace('-', '');
  const micros = uniqueMicros();
  return `{"stream":"${pair.toLowerCase()}@aggTrade","data":{"e":"aggTrade","E":${Date.now()},"s":"${pair}","a":${micros},"p":"${100 + (index % 50)}.50","q":"1.000","f":1,"l":1,"T":${Date.now()},"m":true}}`;
}

/** Makes the trades unnumbered: their ids are times and have gaps, and filling gaps is not measured here. */
function unnumbered(read: (frame: string, sink: never) => void) {
  return (frame: string, sink: object) => {
    const inner = sink as { trade(symbol: string, trade: object, numbered: boolean): void };
    const wrapped = Object.create(inner, { trade: { value: (symbol: string, trade: object) => inner.trade(symbol, trade, false) } });
    for (const name of ['consumed', 'ignored', 'refused'] as const)
      wrapped[name] = (text: string) => (inner as unknown as Record<string, (text: string) => void>)[name]?.(text);
    read(frame, wrapped as never);
  };
}
