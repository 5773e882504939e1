import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { KafkaBrokers, openKafkaTopic, readShard, SHARD_START, type ShardBroker, shardStart, TopicUnsafe } from '@millrace/kafka';
import { createTopic, kafkaMissing, openTestKafka, producersOf, type TestKafka } from '@millrace/kafka/testing';
import { WriterEnded } from '@millrace/kernel';
import { until } from '@millrace/testing';
import { DelayingProxy } from './delaying-proxy.ts';
import { faultyRun } from './faulty-run.ts';
import { batchOf, commandsIn, own } from './shard-history.ts';

const missing = await kafkaMissing();
const PRODUCER_EXPIRY_MS = 2_000;
const USER = { name: 'millrace', password: 'a password of tests' };
const SEQUENCES = 2 ** 31;
/** KAFKA_RUNS=30 npm test -- kafka/shards runs more. */
const RUNS = Number(process.env.KAFKA_RUNS ?? 1);
const FIRST_RUN = Number(process.env.KAFKA_SEED ?? 1);

describe('a shard on three real brokers', { skip: missing ?? false }, () => {
  let kafka: TestKafka;
  const topics: KafkaBrokers[] = [];
  before(async () => {
    const settings = { 'producer.id.expiration.ms': PRODUCER_EXPIRY_MS, 'producer.id.expiration.check.interval.ms': 200 };
    kafka = await openTestKafka({ settings, user: USER });
  });
  after(async () => {
    for (const topic of topics) await topic.close();
    await kafka?.close();
  });
  const topicNamed = async (name: string, addresses?: Record<string, string>) => {
    const connection = { brokers: kafka.addresses, clientId: 'millrace-test', ...(addresses && { addresses }) };
    const topic = await openKafkaTopic(connection, { name, shards: 2 });
    topics.push(topic);
    return topic;
  };

  test('has what its owner wrote, in order, for a reader that begins anywhere', async () => {
    const topic = await topicNamed('order');
    const writer = await own(topic, 0);
    assert.equal(writer.epoch, 1);
    const written = Array.from({ length: 200 }, (_none, index) => writer.append([batchOf('counter/a', index + 1, `c${index + 1}`)]));
    const places = await Promise.all(written);
    const all = Array.from({ length: 200 }, (_none, index) => `c${index + 1}`);
    assert.deepEqual(await commandsIn(topic, 0), all);
    for (const from of [1, 77, 199]) {
      const rest = await commandsIn(topic, 0, places[from]);
      assert.deepEqual(rest, all.slice(-rest.length), 'a suffix of the log');
      assert.ok(rest.length >= 200 - from);
    }
    assert.deepEqual(await commandsIn(topic, 1), []);
    await writer.release();
  });

  test('a new owner ends the one before it, and knows all that it wrote', async () => {
    const topic = await topicNamed('takeover');
    const first = await own(topic, 0);
    await first.append([batchOf('counter/a', 1, 'one'), batchOf('counter/b', 1, 'two')]);
    const second = await own(topic, 0);
    assert.deepEqual([second.epoch, second.previousEpoch, second.headOf('counter/a' as never)], [2, 1, 1]);
    await assert.rejects(first.append([batchOf('counter/a', 2, 'zombie')]), WriterEnded);
    assert.equal(await first.ended, 'fenced');
    await second.append([batchOf('counter/a', 2, 'three')]);
    assert.deepEqual(await commandsIn(topic, 0), ['one', 'two', 'three']);
  });

  test('an owner that comes back after the brokers have forgotten all producers writes nothing valid', async () => {
    const topic = await topicNamed('forgotten');
    const zombie = await own(topic, 0);
    await zombie.append([batchOf('counter/a', 1, 'one')]);
    const owner = await own(topic, 0);
    await owner.append([batchOf('counter/a', 2, 'two')]);
    await until(async () => (await producersOf(topic, 'forgotten')) === 0, 'the leader has forgotten all producers');
    await assert.rejects(zombie.append([batchOf('counter/a', 2, 'zombie')]), WriterEnded);
    await owner.append([batchOf('counter/a', 3, 'three')]).catch((error) => assert.ok(error instanceof WriterEnded));
    const commands = await commandsIn(topic, 0);
    assert.deepEqual(commands.slice(0, 2), ['one', 'two']);
    assert.ok(!commands.includes('zombie'));
  });

  test('a late append that arrives behind the claim of the next owner is not valid, and its sender learns nothing false', async () => {
    const proxies = new Map<string, DelayingProxy>();
    for (const address of kafka.addresses) proxies.set(address, await DelayingProxy.open(address));
    try {
      const slow = await topicNamed('late', Object.fromEntries([...proxies].map(([address, proxy]) => [address, proxy.address])));
      const topic = await topicNamed('late');
      const first = await own(slow, 0, null);
      await first.append([batchOf('counter/a', 1, 'one')]);
      for (const proxy of proxies.values()) proxy.isHolding = true;
      const late = first.append([batchOf('counter/a', 2, 'late')]);
      const outcome = assert.rejects(late, WriterEnded);
      await until(() => [...proxies.values()].some(({ held }) => held > 0), 'the append is kept back');
      const second = await own(topic, 0);
      await second.append([batchOf('counter/a', 2, 'two')]);
      for (const proxy of proxies.values()) proxy.release();
      await outcome;
      assert.deepEqual(await commandsIn(topic, 0), ['one', 'two']);
    } finally {
      for (const proxy of proxies.values()) await proxy.close();
    }
  });

  test('an append whose confirmation is lost is written once', async () => {
    const proxies = new Map<string, DelayingProxy>();
    for (const address of kafka.addresses) proxies.set(address, await DelayingProxy.open(address));
    try {
      const topic = await topicNamed('mute', Object.fromEntries([...proxies].map(([address, proxy]) => [address, proxy.address])));
      const direct = await topicNamed('mute');
      const writer = await own(topic, 0);
      await writer.append([batchOf('counter/a', 1, 'one')]);
      for (const proxy of proxies.values()) proxy.isMute = true;
      const doubtful = writer.append([batchOf('counter/a', 2, 'two')]);
      await until(async () => (await commandsIn(direct, 0)).length === 2, 'the brokers have the append');
      for (const proxy of proxies.values()) proxy.isMute = false;
      await doubtful;
      await writer.append([batchOf('counter/a', 3, 'three')]);
      assert.deepEqual(await commandsIn(direct, 0), ['one', 'two', 'three']);
    } finally {
      for (const proxy of proxies.values()) await proxy.close();
    }
  });

  test('sequence numbers go on behind the largest one', async () => {
    const topic = await topicNamed('wrap');
    const ahead = SEQUENCES - 3;
    // The brokers know nothing of a new producer, so its first batch can have any sequence number.
    const shifted: ShardBroker = {
      initProducer: (shard) => topic.initProducer(shard),
      produce: (shard, request) => topic.produce(shard, { ...request, sequence: (request.sequence + ahead) % SEQUENCES }),
      fetch: (shard, offset, limits) => topic.fetch(shard, offset, limits),
      startOf: (shard) => topic.startOf(shard),
      deleteBefore: (shard, offset) => topic.deleteBefore(shard, offset),
    };
    const writer = await own(shifted, 0);
    const written = Array.from({ length: 10 }, (_none, index) => writer.append([batchOf('counter/a', index + 1, `c${index + 1}`)]));
    await Promise.all(written);
    assert.equal((await commandsIn(topic, 0)).length, 10);
  });

  test('an owner whose producer id is no longer used is not refused by the brokers, and yet writes nothing valid', async () => {
    const topic = await topicNamed('rotated');
    const other = await topicNamed('other-ids');
    // The epochs of a producer id are used up: the next owner gets another id.
    const rotated: ShardBroker = {
      initProducer: () => other.initProducer(0),
      produce: (shard, request) => topic.produce(shard, request),
      fetch: (shard, offset, limits) => topic.fetch(shard, offset, limits),
      startOf: (shard) => topic.startOf(shard),
      deleteBefore: (shard, offset) => topic.deleteBefore(shard, offset),
    };
    const zombie = await own(topic, 0);
    await zombie.append([batchOf('counter/a', 1, 'one')]);
    const owner = await own(rotated, 0);
    await assert.rejects(zombie.append([batchOf('counter/a', 2, 'zombie')]), WriterEnded);
    await owner.append([batchOf('counter/a', 2, 'two')]);
    assert.deepEqual(await commandsIn(topic, 0), ['one', 'two']);
    const { highWatermark } = await topic.fetch(0, 0, { maxBytes: 1, waitMs: 0 });
    assert.equal(highWatermark, 5, 'two claims, two events, and what the zombie wrote');
  });

  test('after a cut, owners go on from saved heads, and readers are told', async () => {
    const topic = await topicNamed('cut');
    const first = await own(topic, 0);
    await first.append([batchOf('counter/a', 1, 'one')]);
    const second = await own(topic, 0);
    await second.append([batchOf('counter/a', 2, 'two')]);
    const head = await second.beat();
    assert.ok(head);
    const place = second.place();
    await topic.deleteBefore(0, head.offset);
    const third = await own(topic, 0, place);
    assert.deepEqual([third.epoch, third.headOf('counter/a' as never)], [3, 2]);
    await third.append([batchOf('counter/a', 3, 'three')]);
    await assert.rejects(readShard(topic, 0, SHARD_START, { maxBytes: 1_000_000, waitMs: 0 }), { failure: 'out-of-range' });
    for (const begin of [place.cursor, await shardStart(topic, 0)]) assert.deepEqual(await commandsIn(topic, 0, begin), ['three']);
    assert.deepEqual(await shardStart(topic, 1), SHARD_START);
  });

  test('a leader that is killed with five appends in flight loses and doubles nothing', async () => {
    const topic = await topicNamed('killed');
    let writer = await own(topic, 0);
    const confirmed: string[] = [];
    let seq = 0;
    const append = (count: number) =>
      Promise.allSettled(
        Array.from({ length: count }, async () => {
          const command = `k${++seq}`;
          await writer.append([batchOf('counter/a', seq, command)]);
          confirmed.push(command);
        }),
      );
    await append(20);
    const leader = (await topic.partitions())?.find(({ partitionIndex }) => partitionIndex === 0)?.leaderId;
    const broker = kafka.brokers.find(({ id }) => id === leader);
    assert.ok(broker);
    const rest = append(40);
    await broker.kill();
    await rest;
    // The writer may have ended: then what is not confirmed is in the log or not, and the next owner knows.
    await until(async () => {
      writer = await own(topic, 0).catch(() => writer);
      return writer.epoch > 1;
    }, 'the shard is owned again');
    seq = writer.headOf('counter/a' as never);
    await append(5);
    await broker.start();
    const commands = await commandsIn(topic, 0);
    assert.equal(new Set(commands).size, commands.length, 'nothing twice');
    for (const command of confirmed) assert.ok(commands.includes(command), `${command} was confirmed`);
    assert.deepEqual(commands.slice(-5).length, 5);
  });

  test('has everything after all brokers were killed', async () => {
    const topic = await topicNamed('restarted');
    const first = await own(topic, 0);
    await Promise.all(Array.from({ length: 50 }, (_none, index) => first.append([batchOf('counter/a', index + 1, `c${index + 1}`)])));
    await Promise.all(kafka.brokers.map((broker) => broker.kill()));
    await Promise.all(kafka.brokers.map((broker) => broker.start()));
    const second = await own(topic, 0);
    assert.equal(second.headOf('counter/a' as never), 50);
    await second.append([batchOf('counter/a', 51, 'c51')]);
    assert.equal(new Set(await commandsIn(topic, 0)).size, 51);
  });

  test('law: under random faults, what is confirmed is in the log once and in order, and readers read it', async (context) => {
    for (let seed = FIRST_RUN; seed < FIRST_RUN + RUNS; seed++) {
      const { mistakes, ...run } = await faultyRun(kafka, seed);
      context.diagnostic(`seed ${seed}: ${JSON.stringify(run)}`);
      assert.deepEqual(mistakes, [], `seed ${seed}`);
      assert.ok(run.durable >= 20 && run.owned > 0, JSON.stringify(run));
    }
  });

  test('is written over TLS by a user who signs in with SCRAM, and by nobody else', async () => {
    const { addresses = [], certificate = '' } = kafka.secure ?? {};
    const sasl = { mechanism: 'SCRAM-SHA-512' as const, username: USER.name, password: USER.password };
    const connection = { brokers: addresses, clientId: 'millrace-test', tls: { ca: certificate }, sasl };
    const topic = await openKafkaTopic(connection, { name: 'secure', shards: 1 });
    topics.push(topic);
    const writer = await own(topic, 0);
    await writer.append([batchOf('counter/a', 1, 'one')]);
    assert.deepEqual(await commandsIn(topic, 0), ['one']);
    const refused = async (other: Partial<typeof connection>, reason: RegExp) =>
      assert.rejects(openKafkaTopic({ ...connection, ...other }, { name: 'secure', shards: 1 }), (error: Error) => {
        assert.match(`${error.message} ${error.cause}`, reason);
        return true;
      });
    await refused({ sasl: { ...sasl, password: 'wrong' } }, /127\.0\.0\.1:.*SASL_AUTHENTICATION_FAILED/);
    await refused({ tls: { ca: '' } }, /certificate/i);
  });

  test('a topic under which confirmed events could be lost is refused, with the remedy', async () => {
    const any = await topicNamed('safe');
    await createTopic(any, 'unsafe', { shards: 2, replicas: 1, settings: { 'retention.ms': '1000', 'max.message.bytes': '999' } });
    const connection = { brokers: kafka.addresses, clientId: 'millrace-test' };
    await assert.rejects(openKafkaTopic(connection, { name: 'unsafe', shards: 3 }), (error: Error) => {
      assert.ok(error instanceof TopicUnsafe);
      for (const part of [
        /2 partitions, but 3/,
        /1 replicas; reassign it to 3/,
        /retention\.ms is 1000; set it to -1/,
        /max\.message\.bytes is 999; set it to 16777216/,
      ])
        assert.match(error.message, part);
      return true;
    });
  });

  test('an end is confirmed while most replicas respond, also by a new leader, and not by one of three replicas', async () => {
    const topic = await topicNamed('confirmed');
    const writer = await own(topic, 0);
    await writer.append([batchOf('counter/a', 1, 'c1')]);
    const end = (await topic.ends())[0] ?? 0;
    assert.ok(end > 0);
    assert.deepEqual(await topic.confirmedEnds(), [end, 0]);
    const [first, second] = kafka.brokers;
    try {
      await first?.kill();
      await until(async () => String(await topic.confirmedEnds()) === String([end, 0]), 'the leaders are those that are left');
      await second?.kill();
      await until(async () => (await topic.confirmedEnds()).every((one) => one === null), 'nothing is confirmed');
    } finally {
      await Promise.all([first?.start(), second?.start()]);
      await until(async () => String(await topic.confirmedEnds()) === String([end, 0]), 'the brokers are back');
    }
  });

  test('a shard without a leader is shown, and the others can be written and read', async () => {
    const any = await topicNamed('before');
    await createTopic(any, 'single', { shards: 3, replicas: 1, settings: {} });
    const topic = new KafkaBrokers({ brokers: kafka.addresses, clientId: 'millrace-test' }, 'single');
    const [broker] = kafka.brokers;
    try {
      await topic.whenLed(10_000);
      await broker?.kill();
      await until(async () => (await topic.replicas()).some(({ isLed }) => !isLed), 'a shard has no leader');
      const replicas = await topic.replicas();
      const [ends, confirmed] = [await topic.ends(), await topic.confirmedEnds()];
      for (const { shard, isLed } of replicas) {
        assert.deepEqual([ends[shard], confirmed[shard] ?? null], isLed ? [0, 0] : [null, null]);
        if (!isLed) continue;
        const records = [{ key: null, value: Buffer.from('x') }];
        // Another broker must become the coordinator of the producer first.
        await until(async () => {
          await topic.produce(shard, { producer: await topic.initProducer(shard), sequence: 0, records });
          return true;
        }, 'the shard is written');
        assert.ok((await topic.fetch(shard, 0, { maxBytes: 100, waitMs: 0 })).records.length > 0);
      }
    } finally {
      await broker?.start();
      await topic.close();
    }
  });
});
