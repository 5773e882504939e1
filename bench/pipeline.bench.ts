import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Feed, pairsOfRecording } from '@millrace/collector';
import { loadConfig } from '@millrace/config';
import type { ExchangeSource } from '@millrace/contracts';
import { modulesWith } from '../apps/server/modules.ts';
import { startPlatform } from '../apps/server/platform.ts';
import { imitationOf } from '../tests/feeds/imitations.ts';
import { recordedLines } from '../tests/feeds/player.ts';
import { inFolder, pairedUndisturbed, rate, report } from './measure.ts';

/*
 * The complete pipeline of a frame (adapter, zone, log, store) against JSON.parse alone of the same frames. The frames are a recording of
 * Binance futures, repeated with new ids and later times.
 */

const FRAMES = 200_000;
const RECORDING = join(import.meta.dirname, '..', '..', 'shared', 'data', 'frames', 'BINANCE_FUTURES.ws.1.0');
/** Longer than the recording: repetitions that overlap would be late trades. */
const SPAN_MS = 120_000;
const ROUNDS = 9;

// Real frames if available, else those of the simulated venue.
const lines = existsSync(RECORDING) ? await recordedLines(RECORDING) : imitationOf('binance-futures');
const received = lines.filter((line) => line.kind === 'received').map(({ text }) => text);
const pairs = pairsOfRecording('binance-futures', lines);
const aggTrades = received.filter((text) => text.includes('"aggTrade"')).map((text) => JSON.parse(text).data as { s: string; a: number });
/** By symbol, the number of ids from the first trade of the recording to its last. Ids that are missing between repetitions would be gaps. */
const idCounts = new Map(
  Object.entries(Object.groupBy(aggTrades, ({ s }) => s)).map(([symbol, trades = []]) => {
    const ids = trades.map(({ a }) => a);
    return [symbol, Math.max(...ids) - Math.min(...ids) + 1];
  }),
);
const frames = Array.from({ length: FRAMES }, (_none, index) =>
  later(received[index % received.length] as string, Math.floor(index / received.length)),
);

/** The same frame some minutes later, with continuing ids and times. */
function later(text: string, round: number): string {
  if (round === 0) return text;
  const ids = round * (idCounts.get(/"s":"(\w+)"/.exec(text)?.[1] ?? '') ?? 0);
  return text
    .replace(/"(T|E|t)":(\d{13})/g, (_all, name, time) => `"${name}":${Number(time) + round * SPAN_MS}`)
    .replace(/"a":(\d+),/, (_all, id) => `"a":${Number(id) + ids},`);
}

async function pipeline(): Promise<number> {
  return inFolder(async (folder) => {
    let finished: () => void = () => {};
    let begin: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      finished = resolve;
    });
    const feed: Feed = {
      open(events) {
        setImmediate(() => events.opened());
        begin = () => {
          let index = 0;
          const sendBatch = () => {
            for (const end = Math.min(index + 1_000, FRAMES); index < end; index++) events.frame(frames[index] as string);
            if (index < FRAMES) return void setImmediate(sendBatch);
            finished();
          };
          sendBatch();
        };
        return { send: () => {}, close: () => {}, pause: () => {}, resume: () => {} };
      },
    };
    const source = {
      id: 'binance-futures',
      type: 'binance-futures',
      instruments: pairs,
      channels: ['trades', 'quotes', 'book', 'candles'],
    } as ExchangeSource;
    const settings = loadConfig({
      file: undefined,
      folder,
      environment: { MILLRACE_LOGGING__LEVEL: 'silent', MILLRACE_DEMO: 'true' },
      flags: { data: join(folder, 'data'), port: 0 },
    });
    const running = await startPlatform({
      // Without the world: its processes would use the same cores.
      settings: { ...settings, sources: [source], worlds: { ...settings.worlds, enabled: false } },
      console: join(folder, 'none'),
      modules: modulesWith({
        adjust: (_config, parts) => ({ ...parts, feed, history: null, leavesHoles: false, checkClock: false }),
      }),
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const speed = await rate(FRAMES, async () => {
      begin();
      await done;
      while (running.host('market').stats().waitingCommands > 0) await new Promise((resolve) => setImmediate(resolve));
      await running.host('market').flushed();
      await running.group('series').caughtUp();
    });
    await running.stop();
    return speed;
  });
}

const parse = async () =>
  rate(FRAMES, () => {
    for (const frame of frames) JSON.parse(frame);
  });

await parse();
await pipeline();
const result = await pairedUndisturbed(ROUNDS, pipeline, parse);
report({
  what: 'frame -> zone -> log -> store',
  ...result,
  unit: 'frames/s',
  budget: { kind: '>=', value: 0.35 },
  note: 'bare: JSON.parse alone',
});
