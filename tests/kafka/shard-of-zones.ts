import { systemClock } from '@millrace/base/clock';
import { type KafkaBrokers, KafkaJournal, MemoryManifests, openKafkaTopic, type ShardBroker } from '@millrace/kafka';
import type { TestKafka } from '@millrace/kafka/testing';
import { defineZone, type RecoveryStep, type SnapshotStore, type ZoneAddress, ZoneHost } from '@millrace/kernel';
import { MemorySpools, openNumbers } from '@millrace/kernel/testing';
import { until } from '@millrace/testing';

interface Field {
  readonly cells: number[];
  sum: number;
}
type Add = { readonly cell: number; readonly amount: number };
type Added = { readonly type: 'Added'; readonly cell: number; readonly amount: number };

const CELLS = 64;

/** A zone with a state of some hundred bytes. */
const field = defineZone<Field, Add, Added>({
  kind: 'field',
  version: 1,
  create: () => ({ cells: new Array<number>(CELLS).fill(0), sum: 0 }),
  decide: (_state, { cell, amount }, { emit }) => emit({ type: 'Added', cell: cell % CELLS, amount }),
  evolve: (state, { cell, amount }) => {
    state.cells[cell] = (state.cells[cell] ?? 0) + amount;
    state.sum += amount;
  },
});

/** A host of a test, with how its zones were recovered. */
export interface ShardHost {
  readonly host: ZoneHost;
  /** By zone, the sources of its last recovery that gave a state. */
  readonly sources: ReadonlyMap<ZoneAddress, readonly string[]>;
  /** Ends the host as a SIGKILL does: nothing of it reaches the brokers any more. */
  kill(): Promise<void>;
}

/** A topic of one shard on real brokers, and hosts that own its zones one after another. */
export class ShardOfZones {
  readonly zones: readonly ZoneAddress[];
  readonly #kafka: TestKafka;
  readonly #name: string;
  readonly #cold: SnapshotStore;
  readonly #manifests = new MemoryManifests();
  readonly #topics: KafkaBrokers[] = [];

  constructor(kafka: TestKafka, { name, zones, cold }: { readonly name: string; readonly zones: number; readonly cold: SnapshotStore }) {
    this.#kafka = kafka;
    this.#name = name;
    this.#cold = cold;
    this.zones = Array.from({ length: zones }, (_none, index) => `field/${index}`);
  }

  async newHost(): Promise<ShardHost> {
    const topic = await openKafkaTopic({ brokers: this.#kafka.addresses, clientId: 'standby' }, { name: this.#name, shards: 1 });
    this.#topics.push(topic);
    const { broker, die } = mortal(topic);
    const sources = new Map<ZoneAddress, string[]>();
    const none: SnapshotStore = { save: async () => {}, list: async () => [], load: () => Promise.reject(new Error('there is none')) };
    const host = new ZoneHost({
      log: new KafkaJournal({ broker, clock: systemClock, manifests: this.#manifests, shards: 1, shardOf: () => 0 }),
      spools: new MemorySpools(),
      hot: none,
      cold: this.#cold,
      clock: systemClock,
      random: openNumbers,
      onRecovered: (zone, steps: readonly RecoveryStep[]) =>
        sources.set(
          zone,
          steps.flatMap(({ source, outcome }) => (typeof outcome === 'number' ? [source] : [])),
        ),
    });
    host.register(field);
    const kill = async () => {
      die();
      for (const zone of this.zones) host.abandon(zone);
      host.standBy([]);
      await topic.close();
    };
    return { host, sources, kill };
  }

  /** Opens all zones. The brokers of a new cluster may not be ready for the first claim. */
  async open({ host }: ShardHost): Promise<void> {
    await until(
      () =>
        Promise.all(this.zones.map((zone) => host.open(zone))).then(
          () => true,
          () => false,
        ),
      'the zones are open',
    );
  }

  /** Makes a host stand by for the zones; resolves when it has copies of all of them. */
  async standBy({ host }: ShardHost): Promise<void> {
    host.standBy(this.zones);
    await until(() => {
      const { zones, completeShards, lagRecords } = host.stats().standby;
      return zones === this.zones.length && completeShards === 1 && lagRecords === 0;
    }, 'there is a copy of each zone');
  }

  /** Sends a command to each zone, and resolves when all are durable. */
  async round({ host }: ShardHost, cell: number): Promise<void> {
    await Promise.all(this.zones.map((zone, index) => host.submit(zone, { cell, amount: index % 7 }, { durable: true })));
  }

  /** State and seq of each zone. */
  statesOf({ host }: ShardHost): unknown[] {
    return this.zones.map((zone) => {
      const { state, seq } = host.view(zone) ?? {};
      return structuredClone({ zone, state, seq });
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#topics.map((topic) => topic.close()));
  }
}

/** Brokers whose responses end with the process that sent the requests. */
function mortal(topic: ShardBroker): { readonly broker: ShardBroker; readonly die: () => void } {
  let isDead = false;
  const asked = <T>(request: () => Promise<T>): Promise<T> =>
    isDead
      ? new Promise<T>(() => {})
      : new Promise<T>((resolve, reject) => {
          request().then(
            (result) => isDead || resolve(result),
            (error) => isDead || reject(error),
          );
        });
  return {
    die: () => {
      isDead = true;
    },
    broker: {
      initProducer: (shard) => asked(() => topic.initProducer(shard)),
      produce: (shard, request) => asked(() => topic.produce(shard, request)),
      fetch: (shard, offset, limits) => asked(() => topic.fetch(shard, offset, limits)),
      startOf: (shard) => asked(() => topic.startOf(shard)),
      deleteBefore: (shard, offset) => asked(() => topic.deleteBefore(shard, offset)),
    },
  };
}
