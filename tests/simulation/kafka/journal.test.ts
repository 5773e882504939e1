import { KafkaJournal, MemoryManifests, type ShardBroker } from '@millrace/kafka';
import { journalContract } from '@millrace/log/testing';
import { Machine, Scheduler } from '../scheduler.ts';
import { SimulatedKafka } from './simulated-kafka.ts';

const SHARDS = 2;
/** Virtual time that passes between two turns of the event loop, ms. */
const STEP_MS = 5;

/** Simulated brokers for each shard, whose time passes while a test waits. */
class RunningKafka {
  readonly #scheduler = new Scheduler(1);
  readonly #client = new Machine('client', this.#scheduler);
  readonly #shards = Array.from({ length: SHARDS }, () => new SimulatedKafka(this.#scheduler).for(this.#client));
  readonly #manifests = new MemoryManifests();
  #isRunning = true;

  constructor() {
    void this.#run();
  }

  journal(): KafkaJournal {
    return new KafkaJournal({
      broker: this.#broker,
      clock: this.#client,
      manifests: this.#manifests,
      shards: SHARDS,
      shardOf: (zone) => (zone === 'zone/b' ? 1 : 0),
    });
  }

  stop(): void {
    this.#isRunning = false;
  }

  get #broker(): ShardBroker {
    const at = (shard: number) => this.#shards[shard] as ShardBroker;
    return {
      initProducer: (shard) => at(shard).initProducer(shard),
      produce: (shard, request) => at(shard).produce(shard, request),
      fetch: (shard, offset, limits) => at(shard).fetch(shard, offset, limits),
      startOf: (shard) => at(shard).startOf(shard),
      deleteBefore: (shard, offset) => at(shard).deleteBefore(shard, offset),
    };
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      await this.#scheduler.runUntil(this.#scheduler.now + STEP_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

let kafka = new RunningKafka();

journalContract('simulated Kafka', {
  open: async () => kafka.journal(),
  close: async () => {},
  clean: async () => {
    kafka.stop();
    kafka = new RunningKafka();
  },
  eventBytesMax: 16 * 2 ** 20,
  end: () => kafka.stop(),
});
