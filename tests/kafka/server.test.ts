import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Alert, EventStats, Source, TradeFrame } from '@millrace/contracts';
import { kafkaMissing, openTestKafka, type TestKafka } from '@millrace/kafka/testing';
import { until } from '@millrace/testing';
import { type MadeUpTrade, writeFrames } from '../recovery/made-up-frames.ts';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer, WITHOUT_WORLD } from '../server.ts';

/* A server whose log is in Kafka, with brokers that fail. */

const PAIRS = ['AAA-USDT', 'BBB-USDT', 'CCC-USDT'];
const FRAMES = 12_000;
const FRAMES_PER_SECOND = 1_000;
const missing = await kafkaMissing();

interface Report {
  readonly checks: readonly { readonly name: string; readonly status: string; readonly reason: string | null }[];
}

describe('a server on three brokers', { skip: missing ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-on-kafka-'));
  const recording = join(folder, 'frames.txt');
  let kafka: TestKafka;
  let truth: MadeUpTrade[] = [];
  before(async () => {
    truth = await writeFrames(recording, { frames: FRAMES, perSecond: FRAMES_PER_SECOND, pairs: PAIRS });
    const source = { id: 'binance', type: 'binance', instruments: PAIRS, wsUrl: 'ws://127.0.0.1:9', backfill: false };
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [source] }));
    kafka = await openTestKafka();
  });
  after(async () => {
    await kafka?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });

  const onKafka = (): Record<string, string> => ({
    MILLRACE_LOG__ENGINE: 'kafka',
    MILLRACE_LOG__BROKERS: JSON.stringify(kafka.addresses),
    MILLRACE_LOG__TOPIC_PREFIX: 'test.',
    MILLRACE_LOG__SHARDS: '3',
    ...WITHOUT_WORLD,
  });
  const ask = async <T>({ url }: ServerProcess, path: string): Promise<T> => contentOf(await fetch(`${url}/api/v1${path}`)) as Promise<T>;
  const reasonOf = async ({ url }: ServerProcess, name: string): Promise<string> => {
    const { checks } = (await (await fetch(`${url}/health/ready`)).json()) as Report;
    return checks.find((check) => check.name === name)?.reason ?? '';
  };
  const requireAll = async (server: ServerProcess) => {
    await until(async () => {
      const groups = await ask<{ lag: number }[]>(server, '/consumer-groups');
      const counts = await Promise.all(
        PAIRS.map(async (pair) => (await ask<{ trades: number }>(server, `/instruments/binance:${pair}`)).trades),
      );
      return groups.every(({ lag }) => lag === 0) && counts.reduce((sum, count) => sum + count, 0) === truth.length;
    }, 'all trades are stored');
    for (const pair of PAIRS) {
      const { rows } = await ask<TradeFrame>(server, `/instruments/binance:${pair}/trades?order=asc&limit=20000`);
      const sent = truth.filter((trade) => trade.pair === pair);
      assert.deepEqual(
        rows.map(([time, price, quantity, , id]) => [time, price, quantity, id]),
        sent.map(({ time, price, quantity, id }) => [time, price, quantity, String(id)]),
        pair,
      );
    }
  };

  test('brokers that are killed are shown and lose no trade, also when the server is killed after that', async () => {
    const data = join(folder, 'data');
    const replay = ['replay', recording, '--source', 'binance', '--speed', '1', '--port', '0', '--data', data];
    const server = await startServer(replay, { cwd: folder, env: onKafka() });
    let again: ServerProcess | null = null;
    try {
      const [first, second] = kafka.brokers;
      await until(async () => (await ask<{ trades: number }>(server, '/instruments/binance:AAA-USDT')).trades > 500, 'trades come in');
      await first?.kill();
      await until(async () => /fewer in-sync replicas/.test(await reasonOf(server, 'brokers')), 'missing replicas are shown');
      await second?.kill();
      await until(async () => /go to the spool|in memory/.test(await reasonOf(server, 'log')), 'the spool is shown');
      await until(async () => (await reasonOf(server, 'brokers')) !== '', 'missing brokers are shown');
      await until(
        async () => (await ask<Alert[]>(server, '/alerts')).some(({ rule, subject }) => rule === 'log-unavailable' && subject === 'market'),
        'operators are alerted',
      );
      await until(async () => (await ask<Source[]>(server, '/sources'))[0]?.state === 'finished', 'the recording ends during the outage');
      await Promise.all([first?.start(), second?.start()]);
      await until(
        async () => (await reasonOf(server, 'log')) === '' && (await reasonOf(server, 'brokers')) === '',
        'everything is well again',
      );
      await requireAll(server);
      const [market] = (await ask<EventStats>(server, '/events/stats')).topics;
      assert.deepEqual(market?.brokers, { failure: null, shards: 3, withoutLeader: 0, underReplicated: 0 });
      await server.kill();
      again = await startServer(['up', '--port', '0', '--data', data], { cwd: folder, env: onKafka() });
      await requireAll(again);
    } catch (error) {
      throw new Error(`${again ? again.errors() : server.errors()}`.slice(-5_000), { cause: error });
    } finally {
      await server.kill();
      await again?.kill();
    }
  });

  test('a log of another engine, other topics and brokers that are not there are refused, with the remedy', async () => {
    const data = join(folder, 'data');
    const refused = (env: Record<string, string>, of = data) =>
      startServer(['up', '--port', '0', '--data', of], { cwd: folder, env }).then(
        async (server) => {
          await server.kill();
          return 'it has started';
        },
        (error: Error) => error.message,
      );
    assert.match(
      await refused({ ...WITHOUT_WORLD }),
      /is the topic "test\.market" in Kafka, but log\.engine is "lmdb"[\s\S]*Set log\.engine to "kafka"/,
    );
    assert.match(
      await refused({ ...onKafka(), MILLRACE_LOG__TOPIC_PREFIX: 'other.' }),
      /"test\.market"[\s\S]*"other\.market"[\s\S]*Set log\.topicPrefix back/,
    );
    const marker = join(data, 'log-in-kafka');
    const own = readFileSync(marker);
    writeFileSync(marker, 'test.market\n2b3c0000-0000-4000-8000-000000000000\n');
    assert.match(await refused(onKafka()), /was deleted, and another one has its name[\s\S]*and the database from one backup/);
    writeFileSync(marker, own);
    assert.match(await refused({ ...onKafka(), MILLRACE_LOG__SHARDS: '4' }), /it has 3 partitions, but 4 are configured/);
    assert.match(await refused({ ...onKafka(), MILLRACE_LOG__BROKERS: '["127.0.0.1:9"]' }), /cannot be opened[\s\S]*127\.0\.0\.1:9/);
    assert.match(await refused({ ...onKafka(), MILLRACE_LOG__BROKERS: '[]' }), /log\.brokers/);
    const embedded = join(folder, 'embedded');
    const server = await startServer(['up', '--port', '0', '--data', embedded], { cwd: folder, env: { ...WITHOUT_WORLD } });
    await server.stop();
    assert.match(await refused(onKafka(), embedded), /in files of the engine "lmdb", but log\.engine is "kafka"/);
  });
});
