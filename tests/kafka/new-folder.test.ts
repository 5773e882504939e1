import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { KafkaBrokers, openKafkaTopic } from '@millrace/kafka';
import { kafkaMissing, openTestKafka, type TestKafka } from '@millrace/kafka/testing';
import { until } from '@millrace/testing';
import { startServer, WITHOUT_WORLD } from '../server.ts';

const missing = await kafkaMissing();

describe('a new data folder and the topics of an installation', { skip: missing ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-new-folder-'));
  let kafka: TestKafka;
  before(async () => {
    kafka = await openTestKafka({ count: 1 });
  });
  after(async () => {
    await kafka?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });

  const start = (data: string, prefix = 'test.') => {
    const env = {
      MILLRACE_LOG__ENGINE: 'kafka',
      MILLRACE_LOG__BROKERS: JSON.stringify(kafka.addresses),
      MILLRACE_LOG__TOPIC_PREFIX: prefix,
      MILLRACE_LOG__SHARDS: '2',
      MILLRACE_LOG__REPLICAS: '1',
      ...WITHOUT_WORLD,
    };
    return startServer(['up', '--port', '0', '--data', join(folder, data)], { cwd: folder, env });
  };
  const connection = () => ({ brokers: kafka.addresses, clientId: 'millrace-test' });
  const markerIn = (data: string) => join(folder, data, 'log-in-kafka');

  test('begins topics of its own, also those that a start has created which was killed then', async () => {
    const created = await openKafkaTopic(connection(), { name: 'new.market', shards: 2, replicas: 1 });
    const id = await created.id();
    await created.close();
    const server = await startServerAndKill('new', 'new.');
    assert.equal(server, 'started');
    assert.equal(readFileSync(markerIn('new'), 'utf8'), `new.market\n${id}\n`);
  });

  test('does not take over the topics of another installation, unless an operator says so', async () => {
    const first = await start('first');
    const topic = new KafkaBrokers(connection(), 'test.market');
    await until(async () => (await topic.ends()).some((end) => (end ?? 0) > 0), 'the shards are claimed');
    await topic.close();
    await first.kill();
    const refusal = await startServerAndKill('second');
    assert.match(refusal, /the topic "test\.market" in Kafka has records, but the data folder .*second.* is new/);
    assert.match(refusal, /another log\.topicPrefix.*restore the data folder.*log-in-kafka/s);
    assert.ok(!existsSync(markerIn('second')));
    assert.equal(await startServerAndKill('first'), 'started', 'its own data folder');
    mkdirSync(join(folder, 'second'), { recursive: true });
    writeFileSync(markerIn('second'), 'test.market\n');
    assert.equal(await startServerAndKill('second'), 'started', 'on purpose');
    assert.equal(readFileSync(markerIn('second'), 'utf8'), readFileSync(markerIn('first'), 'utf8'));
  });

  /** @returns 'started', or why it did not */
  async function startServerAndKill(data: string, prefix?: string): Promise<string> {
    try {
      await (await start(data, prefix)).kill();
      return 'started';
    } catch (error) {
      return (error as Error).message;
    }
  }
});
