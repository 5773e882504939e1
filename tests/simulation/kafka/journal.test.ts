import { KafkaJournal, MemoryManifests } from '@millrace/kafka';
import { journalContract } from '@millrace/log/testing';
import { RunningKafka } from './running-kafka.ts';

const SHARDS = 2;

let kafka = new RunningKafka(SHARDS);
let manifests = new MemoryManifests();

journalContract('simulated Kafka', {
  open: async () =>
    new KafkaJournal({
      broker: kafka.broker,
      clock: kafka.client,
      manifests,
      shards: SHARDS,
      shardOf: (zone) => (zone === 'zone/b' ? 1 : 0),
    }),
  close: async () => {},
  clean: async () => {
    kafka.stop();
    kafka = new RunningKafka(SHARDS);
    manifests = new MemoryManifests();
  },
  eventBytesMax: 16 * 2 ** 20,
  end: () => kafka.stop(),
});
