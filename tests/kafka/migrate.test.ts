import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import { loadConfig } from '@millrace/config';
import type { DeadLetter, DeadLetterContent, PlayerToken, TradeFrame, Wire, World } from '@millrace/contracts';
import { KafkaBrokers, readShard, shardStart } from '@millrace/kafka';
import { kafkaMissing, openTestKafka, type TestKafka } from '@millrace/kafka/testing';
import {
  type AnyZoneDefinition,
  type EventBatch,
  kindOf,
  lastSeqOf,
  recover,
  type SnapshotStore,
  type ZoneAddress,
  type ZoneHistory,
} from '@millrace/kernel';
import { openLmdbLog } from '@millrace/log';
import { openDuckDbSeries } from '@millrace/series';
import { until } from '@millrace/testing';
import { worldZone } from '@millrace/worlds';
import { MODULES } from '../../apps/server/modules.ts';
import { type MadeUpTrade, writeFrames } from '../recovery/made-up-frames.ts';
import { contentOf } from '../response.ts';
import { MAIN, type ServerProcess, startServer } from '../server.ts';

/*
 * An installation that moves from LMDB to Kafka: a market and a world whose server was killed, with dead letters. The move is killed again and again.
 */

const PAIRS = ['AAA-USDT', 'BBB-USDT'];
const FRAMES = 6_000;
const FOLDERS = { market: '.', worlds: 'worlds' } as const;
/** When the move is killed: after a time in ms, or when it has printed something; in the end not at all. */
const KILLS = [1_000, 1_500, / are in \d+ shards/, /starts with neither engine/, /continue at the same events/, null] as const;
const READ_BYTES = 4 * 2 ** 20;
const missing = await kafkaMissing();

/** The log of a topic, read as a whole. */
interface Contents {
  /** By zone, in the order of the log. */
  readonly batches: ReadonlyMap<ZoneAddress, readonly EventBatch[]>;
  /** By partition or shard and zone: the events from an offset on. */
  readonly from: (offsets: ReadonlyMap<number, number>) => ReadonlyMap<ZoneAddress, readonly string[]>;
}

interface Found {
  readonly partition: number;
  readonly offset: number;
  readonly batch: EventBatch;
}

const eventsOf = ({ zone, epoch, firstSeq, time, events, metas, loss }: EventBatch): string[] => [
  ...events.map((event, index) => JSON.stringify([zone, epoch, firstSeq + index, time, event, metas?.[index] ?? null])),
  ...(loss ? [JSON.stringify([zone, epoch, firstSeq, loss])] : []),
];

function contentsOf(found: readonly Found[]): Contents {
  return {
    batches: Map.groupBy(
      found.map(({ batch }) => batch),
      ({ zone }) => zone,
    ),
    from: (offsets) => {
      const unread = found.filter(({ partition, offset }) => offset >= (offsets.get(partition) ?? 0));
      const zones = Map.groupBy(unread, ({ batch }) => batch.zone);
      return new Map([...zones].map(([zone, of]) => [zone, of.flatMap(({ batch }) => eventsOf(batch))]));
    },
  };
}

async function ofLmdb(folder: string): Promise<Contents> {
  const log = openLmdbLog(folder);
  const found: Found[] = [];
  for (const [partition, { start }] of log.stats().partitions.entries())
    for (let offset = start; ; ) {
      const { batches, next } = await log.readFrom(partition, offset, 10_000);
      found.push(...batches);
      if (next === offset) break;
      offset = next;
    }
  await log.close();
  return contentsOf(found);
}

async function ofKafka(brokers: readonly string[], topic: string): Promise<Contents> {
  const broker = new KafkaBrokers({ brokers, clientId: 'test' }, topic);
  const found: Found[] = [];
  for (const { shard } of await broker.replicas())
    for (let cursor = await shardStart(broker, shard); ; ) {
      const { batches, next, lag } = await readShard(broker, shard, cursor, { maxBytes: READ_BYTES, waitMs: 0 });
      found.push(...batches.map(({ at, batch }) => ({ partition: shard, offset: at.offset, batch })));
      cursor = next;
      if (lag === 0) break;
    }
  await broker.close();
  return contentsOf(found);
}

const NO_SNAPSHOTS: SnapshotStore = { save: async () => {}, list: async () => [], load: () => Promise.reject(new Error('there is none')) };

/** Hash of the state of each zone that its events give, without a snapshot. */
async function hashesOf({ batches }: Contents, definitions: ReadonlyMap<string, AnyZoneDefinition>): Promise<Map<ZoneAddress, string>> {
  const hashes = new Map<ZoneAddress, string>();
  for (const [zone, ofZone] of batches) {
    const log: ZoneHistory = {
      read: async function* (_zone, afterSeq) {
        for (const batch of ofZone) if (lastSeqOf(batch) > afterSeq) yield structuredClone(batch);
      },
    };
    const definition = definitions.get(kindOf(zone));
    assert.ok(definition, zone);
    const { replay } = await recover(definition, zone, { log, hot: NO_SNAPSHOTS, cold: NO_SNAPSHOTS, clock: systemClock });
    hashes.set(
      zone,
      createHash('sha256')
        .update(JSON.stringify([replay.seq, replay.time, replay.checkpoint()]))
        .digest('hex'),
    );
  }
  return hashes;
}

describe('the move of an installation from LMDB to Kafka', { skip: missing ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-migrate-'));
  const data = join(folder, 'data');
  let kafka: TestKafka;
  let truth: MadeUpTrade[] = [];
  const servers: ServerProcess[] = [];
  before(async () => {
    const source = { id: 'binance', type: 'binance', instruments: PAIRS, wsUrl: 'ws://127.0.0.1:9', backfill: false };
    const config = { sources: [source], worlds: { columns: 2, rows: 1, hosts: 1 }, logging: { level: 'error' } };
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify(config));
    truth = await writeFrames(join(folder, 'frames.txt'), { frames: FRAMES, perSecond: 2_000, pairs: PAIRS });
    kafka = await openTestKafka();
  });
  after(async () => {
    for (const server of servers) await server.kill();
    await kafka?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  const onKafka = () => ({
    MILLRACE_LOG__ENGINE: 'kafka',
    MILLRACE_LOG__BROKERS: JSON.stringify(kafka.addresses),
    MILLRACE_LOG__TOPIC_PREFIX: 'moved.',
    MILLRACE_LOG__SHARDS: '8',
  });
  const onLmdb = { MILLRACE_LOG__ENGINE: 'lmdb' };
  const start = async (args: readonly string[], env: Record<string, string>) => {
    const server = await startServer(args, { cwd: folder, env });
    servers.push(server);
    return server;
  };
  const ask = async <T>({ url }: ServerProcess, path: string): Promise<T> => contentOf(await fetch(`${url}/api/v1${path}`)) as Promise<T>;
  /** @param kill when the command is killed */
  const migrate = async (kill: (typeof KILLS)[number] = null, env: Record<string, string> = {}) => {
    const child = spawn(process.execPath, [MAIN, 'migrate', '--to', 'kafka', '--data', data], {
      cwd: folder,
      env: { ...process.env, MILLRACE_CWD: folder, ...onKafka(), ...env },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        output += text;
        if (kill instanceof RegExp && kill.test(output)) child.kill('SIGKILL');
      });
    const timer = typeof kill === 'number' ? setTimeout(() => child.kill('SIGKILL'), kill) : undefined;
    const [code] = await once(child, 'exit');
    clearTimeout(timer);
    return { code: code as number | null, output };
  };

  test('every zone, offset and dead letter is the same, however often the move is killed', async () => {
    const deadLetters = await runOnLmdb();
    assert.match((await migrate(null, onLmdb)).output, /log\.engine is "lmdb"[\s\S]*Set it to "kafka"/);
    const seriesBefore = await seriesOffsets();
    for (const kill of KILLS) {
      const { code, output } = await migrate(kill);
      // Topics are left to copy, or stores to write, when these lines are printed.
      const isKilled = kill instanceof RegExp && !kill.test('continue at the same events');
      assert.ok(code === null || (code === 0 && !isKilled), output);
      if (code === 0) assert.match(output, /All logs are in Kafka/);
    }
    const settings = loadConfig({ file: undefined, folder, environment: {}, flags: {} });
    const inModules = MODULES.flatMap(({ zones = [] }) => zones.map(({ definition }) => definition(settings)));
    const definitions = new Map([worldZone, ...inModules].map((definition: AnyZoneDefinition) => [definition.kind, definition]));
    for (const [topic, path] of Object.entries(FOLDERS)) {
      const moved = readdirSync(join(data, path)).find((name) => name.startsWith('log.moved-'));
      assert.ok(moved !== undefined && !existsSync(join(data, path, 'log')), topic);
      const before = await ofLmdb(join(data, path, moved));
      const after = await ofKafka(kafka.addresses, `moved.${topic}`);
      assert.ok(before.batches.size > 0, topic);
      assert.deepEqual(after.from(new Map()), before.from(new Map()), topic);
      assert.deepEqual(await hashesOf(after, definitions), await hashesOf(before, definitions), topic);
      if (topic === 'market') assert.deepEqual(after.from(await seriesOffsets()), before.from(seriesBefore));
    }
    await assert.rejects(startServer(['up', '--port', '0', '--data', data], { cwd: folder, env: onLmdb }), /log\.engine is "lmdb"/);
    const server = await start(['up', '--port', '0', '--data', data], onKafka());
    try {
      const found = await ask<Wire<DeadLetter>[]>(server, '/dead-letters?limit=100');
      assert.deepEqual(
        found.map(({ zone, seq, reason, createdAt }) => ({ zone, seq, reason, createdAt: Date.parse(createdAt) })).sort(byPlace),
        deadLetters.map(({ zone, firstSeq }) => ({ zone, seq: firstSeq, reason: 'a test', createdAt: 7 })).sort(byPlace),
      );
      for (const { id, zone, seq } of found) {
        const { events } = await ask<DeadLetterContent>(server, `/consumer-groups/series/dead-letters/${id}`);
        const letter = deadLetters.find((batch) => batch.zone === zone && batch.firstSeq === seq);
        assert.deepEqual(
          events.map(({ type, data: content }) => ({ type, ...(content as object) })),
          letter?.events,
        );
      }
      await until(async () => (await ask<{ lag: number }[]>(server, '/consumer-groups')).every(({ lag }) => lag === 0), 'all is read');
      for (const pair of PAIRS) {
        const { rows } = await ask<TradeFrame>(server, `/instruments/binance:${pair}/trades?order=asc&limit=20000`);
        const sent = truth.filter((trade) => trade.pair === pair).slice(0, rows.length);
        assert.ok(rows.length > 500);
        assert.deepEqual(
          rows.map(([time, price, quantity, , id]) => [time, price, quantity, id]),
          sent.map(({ time, price, quantity, id }) => [time, price, quantity, String(id)]),
        );
      }
    } finally {
      await server.stop();
    }
    assert.match((await migrate()).output, /All logs are in Kafka already/);
  });

  /** A market and a world that are killed. @returns the batches of dead letters */
  async function runOnLmdb(): Promise<EventBatch[]> {
    const replay = ['replay', join(folder, 'frames.txt'), '--source', 'binance', '--speed', '1', '--port', '0', '--data', data];
    const replaying = await start(replay, onLmdb);
    const tradesOf = async (pair: string) => (await ask<{ trades: number }>(replaying, `/instruments/binance:${pair}`)).trades;
    await until(async () => (await tradesOf('AAA-USDT')) > 1_000, 'trades come in');
    await replaying.kill();
    const server = await start(['up', '--port', '0', '--data', data], onLmdb);
    const { tcpPort } = await ask<World>(server, '/world');
    const created = await fetch(`${server.url}/api/v1/world/players`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'Ann' }) },
    });
    const { token } = (await contentOf(created)) as PlayerToken;
    const player = new WorldClient({ connect: tcp({ host: '127.0.0.1', port: tcpPort }), token });
    assert.deepEqual(await player.join(), { ok: true });
    await server.kill();
    player.close();
    const log = openLmdbLog(join(data, 'log'));
    const dead: EventBatch[] = [];
    for (const [partition, { start }] of log.stats().partitions.entries())
      for (const { offset, batch } of (await log.readFrom(partition, start, 50)).batches.slice(3, 5)) {
        const place = { partition, offset, zone: batch.zone, seq: batch.firstSeq };
        await log.deadLetters.put({ group: 'series', ...place, reason: 'a test', createdAt: 7 }, batch);
        dead.push(batch);
      }
    await log.close();
    return dead;
  }

  async function seriesOffsets(): Promise<ReadonlyMap<number, number>> {
    const settings = loadConfig({ file: undefined, folder, environment: {}, flags: {} });
    const series = await openDuckDbSeries({ folder: join(data, 'series'), ...settings.series });
    try {
      return await series.offsets('series');
    } finally {
      await series.close();
    }
  }
});

const byPlace = (one: { zone: string; seq: number }, other: { zone: string; seq: number }) =>
  one.zone.localeCompare(other.zone) || one.seq - other.seq;
