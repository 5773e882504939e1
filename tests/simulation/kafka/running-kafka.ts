import type { ShardBroker, TopicBroker } from '@millrace/kafka';
import { Machine, Scheduler } from '../scheduler.ts';
import { type KafkaFaults, SimulatedKafka } from './simulated-kafka.ts';

/** Virtual time that passes between two turns of the event loop, ms. */
const STEP_MS = 5;

/** Simulated brokers for each shard of a topic, whose time passes while a test waits. */
export class RunningKafka {
  readonly scheduler = new Scheduler(1);
  /** The machine of the clients, which is their clock. */
  readonly client = new Machine('client', this.scheduler);
  readonly shards: number;
  readonly #kafkas: readonly SimulatedKafka[];
  readonly #shards: readonly ShardBroker[];
  #isRunning = true;

  constructor(shards: number) {
    this.shards = shards;
    this.#kafkas = Array.from({ length: shards }, () => new SimulatedKafka(this.scheduler));
    this.#shards = this.#kafkas.map((kafka) => kafka.for(this.client));
    void this.#run();
  }

  stop(): void {
    this.#isRunning = false;
  }

  /** Sets faults of the brokers of all shards. */
  setFaults(faults: Partial<KafkaFaults>): void {
    for (const kafka of this.#kafkas) Object.assign(kafka.faults, faults);
  }

  /** Records of a shard that are replicated now, oldest first. */
  replicated(shard: number): { offset: number; value: Buffer }[] {
    return this.#kafkas[shard]?.replicated() ?? [];
  }

  readonly broker: TopicBroker = {
    initProducer: (shard) => this.#at(shard).initProducer(shard),
    produce: (shard, request) => this.#at(shard).produce(shard, request),
    fetch: (shard, offset, limits) => this.#at(shard).fetch(shard, offset, limits),
    startOf: (shard) => this.#at(shard).startOf(shard),
    deleteBefore: (shard, offset) => this.#at(shard).deleteBefore(shard, offset),
    starts: () => Promise.all(this.#shards.map((shard, index) => shard.startOf(index).catch(() => null))),
    ends: () => this.#ends(),
    confirmedEnds: () => this.#ends(),
    replicas: async () => this.#shards.map((_shard, shard) => ({ shard, isLed: true, replicas: 3, inSync: 3 })),
    bytes: async () => 0,
    id: async () => 'simulated',
    close: async () => {},
  };

  #ends(): Promise<(number | null)[]> {
    return Promise.all(
      this.#shards.map(async (shard, index) => {
        const start = await shard.startOf(index).catch(() => null);
        if (start === null) return null;
        const fetched = await shard.fetch(index, start, { maxBytes: 1, waitMs: 0 }).catch(() => null);
        return fetched?.highWatermark ?? null;
      }),
    );
  }

  #at(shard: number): ShardBroker {
    return this.#shards[shard] as ShardBroker;
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      await this.scheduler.runUntil(this.scheduler.now + STEP_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
