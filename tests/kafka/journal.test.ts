import { after, before, describe } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { type KafkaBrokers, KafkaJournal, MemoryManifests, openKafkaTopic } from '@millrace/kafka';
import { kafkaMissing, openTestKafka, type TestKafka } from '@millrace/kafka/testing';
import { journalContract } from '@millrace/log/testing';

const missing = await kafkaMissing();
const SHARDS = 2;

describe('with three real brokers', { skip: missing ?? false }, () => {
  let kafka: TestKafka;
  let topic: KafkaBrokers | null = null;
  let topics = 0;
  let manifests = new MemoryManifests();
  before(async () => {
    kafka = await openTestKafka({});
  });
  after(() => kafka?.close());

  const clean = async () => {
    await topic?.close();
    topic = null;
    topics++;
    manifests = new MemoryManifests();
  };
  journalContract('Kafka', {
    open: async () => {
      topic ??= await openKafkaTopic(
        { brokers: kafka.addresses, clientId: 'millrace-test' },
        { name: `journal-${topics}`, shards: SHARDS },
      );
      const shardOf = (zone: string) => (zone === 'zone/b' ? 1 : 0);
      return new KafkaJournal({ broker: topic, clock: systemClock, manifests, shards: SHARDS, shardOf });
    },
    close: async () => {},
    clean,
    eventBytesMax: 16 * 2 ** 20,
    end: () => {},
  });
});
