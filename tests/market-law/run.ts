import { execFile } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import type { Instrument, Source } from '@millrace/contracts';
import { openDuckDbSeries } from '@millrace/series';
import { until } from '@millrace/testing';
import { readEvents } from '../event-stream.ts';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';
import { configOf } from './formats.ts';
import { factsOf, Outside } from './outside.ts';
import { Random } from './random.ts';
import { recordedStories } from './recorded.ts';
import { idOf, KINDS, type Kind, storyOf } from './story.ts';

const run = promisify(execFile);
const CHECK = join(import.meta.dirname, 'check.py');
const CHECK_MB_MAX = 64;
/** Time without changes after which all data is stored. Longer than the retry delay of a failed history request. */
const QUIET_MS = 7_000;
/** A run beside another one takes three times as long as alone. */
const QUIET_MS_MAX = 240_000;
const LOOK_EVERY_MS = 250;
const TOLD_WITHIN_MS = 1_000;
/** Time that subscribers stay while the check waits for pending data. */
const SILENT_MS_MAX = 1_800_000;
/** Instruments with a subscriber. */
const WATCHED_MAX = 60;

export interface Verdict {
  readonly instruments: number;
  readonly trades: number;
  readonly candles: number;
  /** Differences found by the check. */
  readonly differences: readonly string[];
}

export interface RunOptions {
  readonly seed: number;
  /** End of the generated histories, epoch ms. */
  readonly now?: number;
  readonly kinds?: readonly Kind[];
  /** Whether to use only a few instruments of each kind. */
  readonly few?: boolean;
  /** Whether to use recorded frames instead of generated histories. */
  readonly recorded?: boolean;
  /** Whether to keep the folder of a run with differences, and print its path. */
  readonly keep?: boolean;
}

/**
 * Runs the histories of all kinds of sources against a server, kills and restarts it meanwhile, and runs the check on its data and the sent messages.
 * @throws when the check itself cannot run
 */
export async function runHistories(options: RunOptions): Promise<Verdict> {
  const { seed, now = Date.now(), kinds = KINDS, few = false, keep = false, recorded = false } = options;
  const folder = mkdtempSync(join(tmpdir(), 'millrace-law-'));
  const random = new Random(seed);
  const stories = recorded ? await recordedStories(seed) : kinds.map((kind, index) => storyOf(kind, seed * 100 + index, now, few));
  const facts = createWriteStream(join(folder, 'facts.jsonl'));
  const tell = (fact: Record<string, unknown>) => void facts.write(`${JSON.stringify(fact)}\n`);
  for (const story of stories) factsOf(story).forEach(tell);
  const outside = new Outside(stories, folder, tell);
  const origin = await outside.listen();
  const sources = stories.map(({ kind, instruments }) =>
    configOf(
      kind,
      instruments.map(({ pair }) => pair),
      origin,
      folder,
    ),
  );
  // Rate limits of venues are not tested here: each server lives for a short time and reads much history.
  writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources, worlds: { enabled: false } }));
  const watched = stories.flatMap(({ instruments }) => instruments.map(idOf)).filter(() => random.chance(0.2));
  const channels = watched.slice(0, WATCHED_MAX).flatMap((id) => [`trades:${id}`, `candles:${id}:1m`, `candles:${id}:5s`]);

  let server: ServerProcess | null = null;
  let isKept = keep;
  try {
    const kills = random.integer(0, 2);
    for (let life = 0; life <= kills; life++) {
      const isLast = life === kills;
      const end = isLast ? 1 : (life + 0.4 + random.next() * 0.6) / (kills + 1);
      tell({ fact: 'life', life });
      // Trades during a lost connection happen before the server reads the history.
      outside.goOn(end);
      server = await startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder });
      const listening = listen(server.url, channels, life, tell);
      if (isLast) await quiet(server.url, outside, () => outside.progress.slowest >= 1);
      else {
        const goal = end * (0.5 + random.next() * 0.45);
        await until(() => outside.progress.slowest >= goal, 'the stories go on', 60_000);
        await setTimeout(random.integer(0, 1_000));
        await server.kill();
        tell({ fact: 'killed', life });
      }
      if (isLast) {
        const live = await check(folder, seed, server.url);
        // Some subscribers stay until the server is killed.
        if (live.differences.length > 0 || random.chance(0.5)) listening.end();
        listening.expectEnd();
        await server.stop();
        listening.end();
        server = null;
        await dump(folder, 'stored');
        await archive(folder);
        await dump(folder, 'archived');
        server = await startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder });
        const again = await check(folder, seed + 1, server.url);
        await server.stop();
        server = null;
        const differences = [...live.differences, ...again.differences.map((one) => `after a restart: ${one}`)];
        isKept &&= differences.length > 0;
        return { ...live, differences };
      }
    }
    throw new Error('no life was the last');
  } finally {
    await server?.kill();
    await outside.close();
    facts.end();
    if (isKept) process.stdout.write(`${folder}\n`);
    else rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

interface Listening {
  end(): void;
  /** Resolves when the stopping server has ended the stream. */
  expectEnd(): void;
}

/** Records the events of a subscriber. */
function listen(url: string, channels: readonly string[], life: number, tell: (fact: Record<string, unknown>) => void): Listening {
  const abort = new AbortController();
  let isEndExpected = false;
  if (channels.length === 0) return { end: () => {}, expectEnd: () => {} };
  const query = `channels=${channels.join(',')}`;
  void readEvents(`${url}/api/v1/stream?${query}`, { signal: abort.signal, silentMsMax: SILENT_MS_MAX }, ({ event, data }) => {
    const { channel, data: told } = data as { channel: string; data: Record<string, unknown> };
    if (event === 'trade' || event === 'candle') tell({ fact: 'told', life, channel, event, ...told });
    return true;
  }).catch((error) => isEndExpected || tell({ fact: 'deaf', life, error: String(error) }));
  return {
    end: () => abort.abort(),
    expectEnd: () => {
      isEndExpected = true;
    },
  };
}

/** Resolves when nothing has changed for a while and subscribers have received everything. */
async function quiet(url: string, outside: Outside, isOver: () => boolean): Promise<void> {
  let before = '';
  let since = performance.now();
  await until(
    async () => {
      await setTimeout(LOOK_EVERY_MS);
      const [sources, instruments] = await Promise.all([
        get<Source[]>(url, '/api/v1/sources'),
        get<Instrument[]>(url, '/api/v1/instruments'),
      ]);
      const frames = sources.filter(({ type }) => type !== 'http-poll').map((one) => one.frames);
      const now = JSON.stringify([frames, instruments.map(({ trades }) => trades), outside.requests]);
      if (now !== before || !isOver()) since = performance.now();
      before = now;
      return performance.now() - since > QUIET_MS;
    },
    'everything that was sent is taken',
    QUIET_MS_MAX,
  );
  // This request is answered when all is stored; recomputed candles are published then.
  const [first] = await get<Instrument[]>(url, '/api/v1/instruments');
  if (first) await get(url, `/api/v1/instruments/${first.id}/candles?limit=1`);
  await setTimeout(TOLD_WITHIN_MS);
}

async function get<T>(url: string, path: string): Promise<T> {
  const response = await fetch(url + path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return (await contentOf(response)) as T;
}

async function check(folder: string, seed: number, url: string): Promise<Verdict> {
  const { stdout } = await run('python3', [CHECK, folder, String(seed), url], { maxBuffer: CHECK_MB_MAX * 1024 * 1024 });
  return JSON.parse(stdout) as Verdict;
}

/** Moves old days to the archive, as the server does every few minutes. */
async function archive(folder: string): Promise<void> {
  const series = await openDuckDbSeries({ folder: seriesFolder(folder), memoryMiB: 256, archiveAfterDays: 2, keepDays: 365 });
  await series.archive(Date.now());
  await series.close();
}

const seriesFolder = (folder: string) => join(folder, 'data', 'series');

/** All rows of the store, read without code of the platform. */
async function dump(folder: string, name: string): Promise<void> {
  const out = join(folder, name);
  mkdirSync(out);
  const files = readdirSync(seriesFolder(folder)).filter((file) => file.endsWith('.duckdb') || file.endsWith('.db'));
  const instance = await DuckDBInstance.create(join(seriesFolder(folder), files[0] ?? 'series.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const tables = {
    trades: `SELECT i.name AS instrument, time, rank, price, quantity, (CASE side WHEN 0 THEN 'buy' WHEN 1 THEN 'sell' ELSE 'unknown' END) AS side,
      coalesce(id, CAST(CAST(rank AS BIGINT) AS VARCHAR)) AS id, arrival FROM trades t JOIN names i ON i.code = t.instrument`,
    candles: `SELECT i.name AS instrument, v.name AS "interval", time, open, high, low, close, volume, trades, version, origin::VARCHAR AS origin
      FROM candles c JOIN names i ON i.code = c.instrument JOIN names v ON v.code = c."interval"`,
  };
  const archived = {
    trades: 'SELECT instrument, time, rank, price, quantity, side, coalesce(id, CAST(CAST(rank AS BIGINT) AS VARCHAR)) AS id, arrival FROM',
    candles: 'SELECT instrument, "interval", time, open, high, low, close, volume, trades, version, origin::VARCHAR AS origin FROM',
  };
  for (const table of ['trades', 'candles'] as const) {
    const files = join(seriesFolder(folder), 'archive', table);
    const past = existsSync(files) && readdirSync(files).some((file) => file.endsWith('.parquet'));
    const rows = past ? `${tables[table]} UNION ALL ${archived[table]} read_parquet('${files}/*.parquet')` : tables[table];
    await connection.run(`COPY (${rows}) TO '${join(out, table)}.jsonl' (FORMAT json)`);
  }
  connection.closeSync();
  instance.closeSync();
}
