import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import { COLLECTOR, type Feed, pairsOfRecording, type RecordedLine, readRecordedLines } from '@millrace/collector';
import type { ExchangeSource } from '@millrace/contracts';
import { instrumentKind, SERIES_GROUP } from '@millrace/market';
import { modulesWith } from '../modules.ts';
import { startPlatform } from '../platform.ts';
import { type ServingFlags, settingsFor } from './settings.ts';
import { handleStopSignals, stopOnSignal } from './stop-signals.ts';
import { CONSOLE_FOLDER } from './up.ts';

const TYPES = ['binance', 'binance-futures', 'coinbase', 'kraken', 'upbit'] as const;
/** At full speed the feed yields to the event loop after this many frames. */
const FRAMES_PER_YIELD = 500;

interface ReplayFlags extends ServingFlags {
  readonly source: string;
  readonly speed: number;
  readonly exit?: boolean;
}

/** Feeds recorded frames through the real adapter, and serves the resulting data like any other source. */
export async function replay(frames: string, { source, speed, exit, ...flags }: ReplayFlags): Promise<void> {
  const type = TYPES.find((known) => known === source);
  if (!type) throw new UserError(`there is no adapter "${source}" for recorded frames`, `Use one of: ${TYPES.join(', ')}.`);
  const path = resolve(process.env.MILLRACE_CWD ?? process.cwd(), frames);
  if (!existsSync(path) || !statSync(path).isFile())
    throw new UserError(`${path} does not exist`, 'Use a file of recorded frames; docs/how-to/replay.md describes the format.');
  const lines: RecordedLine[] = [];
  for await (const line of readRecordedLines(path)) lines.push(line);
  const pairs = pairsOfRecording(type, lines);
  if (pairs.length === 0)
    throw new UserError(
      `${path} names no instruments`,
      `Check that it is a recording of ${type}: its first lines must contain the subscriptions.`,
    );

  let finish: () => void = () => {};
  const done = new Promise<void>((resolveDone) => {
    finish = resolveDone;
  });
  const v1 = type === 'kraken' ? { wsUrl: 'wss://ws.kraken.com' } : {};
  const config = {
    id: type,
    type,
    instruments: pairs,
    channels: ['trades', 'quotes', 'book', 'candles'],
    backfill: false,
    ...v1,
  } as ExchangeSource;
  const settings = settingsFor(flags);
  const running = await startPlatform({
    // A recording contains market data only; the world is not needed.
    settings: { ...settings, sources: [config], worlds: { ...settings.worlds, enabled: false } },
    console: CONSOLE_FOLDER,
    modules: modulesWith({
      adjust: (_config, parts) => ({ ...parts, feed: recordedFeed(lines, speed), history: null, leavesGaps: false, checkClock: false }),
      onSource: ({ state }) => state === 'finished' && finish(),
    }),
  });
  handleStopSignals();
  stopOnSignal(running);
  console.log(`ready ${running.url}`);
  await done;
  await running.host(instrumentKind.topic).flushed();
  await running.group(SERIES_GROUP).caughtUp();
  console.error(JSON.stringify(running.port(COLLECTOR)?.source(type)?.describe()));
  if (!exit) return;
  await running.stop();
}

/** A feed of recorded frames at the recorded speed times `speed`. */
function recordedFeed(lines: readonly RecordedLine[], speed: number): Feed {
  return {
    open(events) {
      let closed = false;
      let paused = false;
      const run = async () => {
        events.opened();
        const begin = performance.now();
        const first = lines[0]?.at ?? 0;
        let sentFrames = 0;
        for (const line of lines) {
          if (line.kind !== 'received') continue;
          const waitMs = Number.isFinite(speed) ? (line.at - first) / speed - (performance.now() - begin) : 0;
          if (waitMs > 1) await new Promise((resolveWait) => setTimeout(resolveWait, waitMs));
          else if (sentFrames % FRAMES_PER_YIELD === 0) await new Promise((resolveWait) => setImmediate(resolveWait));
          while (paused && !closed) await new Promise((resolveWait) => setTimeout(resolveWait, 1));
          if (closed) return;
          events.frame(line.text, line.at);
          sentFrames++;
        }
        events.finished();
      };
      setImmediate(() => void run());
      return {
        send: () => {},
        close: () => {
          closed = true;
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
