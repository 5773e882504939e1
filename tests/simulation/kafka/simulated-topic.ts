import {
  BrokerError,
  KafkaJournal,
  KafkaLog,
  MemoryCursors,
  MemoryManifests,
  type ShardBroker,
  type TopicBroker,
  ZoneIndex,
} from '@millrace/kafka';
import type { Clock, EventBatch, Journal, ZoneAddress } from '@millrace/kernel';
import type { ConsumerGap, DeadLetterBox, EventLog } from '@millrace/log';
import { MemoryConsumers } from '@millrace/log/testing';
import { unpack } from 'msgpackr';
import type { Machine, Scheduler } from '../scheduler.ts';
import { noFaults, type ServiceFaults } from '../service-faults.ts';
import type { WrittenBatch, ZoneLog } from '../zone-log.ts';
import { MemoryZoneIndex } from './memory-zone-index.ts';
import { SimulatedKafka } from './simulated-kafka.ts';

/** Interval at which the valid records are read, for the checks, ms. */
const LOOK_MS = 2;
/** Time after which a client gives up a request, ms. */
const REQUEST_MS_MAX = 400;
const BEAT_MS = 500;
const MANIFEST_RECORDS = 40;

/** A topic of Kafka on simulated brokers as the log of a simulated cluster. */
export class SimulatedTopic implements ZoneLog {
  readonly faults = noFaults();
  holder: Machine | null = null;
  readonly claims = new Map<string, string>();
  readonly shardOf: (zone: ZoneAddress) => number;
  /** By shard. */
  readonly kafkas: readonly SimulatedKafka[];
  readonly batches: WrittenBatch[] = [];
  readonly #scheduler: Scheduler;
  readonly #manifests = new MemoryManifests();
  readonly #consumers = new NotedConsumers();
  readonly #views: ShardView[];
  readonly #indexes = new Map<string, MemoryZoneIndex>();
  #names = 0;

  constructor(scheduler: Scheduler, shards: number, shardOf: (zone: ZoneAddress) => number) {
    this.#scheduler = scheduler;
    this.shardOf = shardOf;
    this.kafkas = Array.from({ length: shards }, () => new SimulatedKafka(scheduler));
    this.#views = this.kafkas.map(
      (kafka, shard) => new ShardView(kafka, (epoch, name) => this.claims.set(`${shard} ${epoch}`, ownerIn(name))),
    );
    const look = () => {
      for (const view of this.#views) this.batches.push(...view.read());
      scheduler.at(scheduler.now + LOOK_MS, look);
    };
    look();
  }

  journal(machine: Machine, owner: string): Journal {
    const broker = this.#brokerFor(machine);
    return new KafkaJournal({
      broker,
      index: this.#indexFor(machine, broker),
      clock: machine,
      manifests: this.#manifests,
      shards: this.kafkas.length,
      shardOf: this.shardOf,
      newName: () => `${owner}#${++this.#names}`,
      beatMs: BEAT_MS,
      manifestRecords: MANIFEST_RECORDS,
    });
  }

  open(machine: Machine): Promise<EventLog> {
    return this.#opened(machine, machine);
  }

  history(machine: Machine): Pick<EventLog, 'read'> {
    return this.journal(machine, 'history');
  }

  ofZone(zone: ZoneAddress): EventBatch[] {
    return this.batches.filter(({ batch }) => batch.zone === zone).map(({ batch }) => batch);
  }

  skippedEvents(): Set<string> {
    const skipped = new Set<string>();
    for (const { partition, from, to } of this.#consumers.gaps)
      for (const event of this.#views[partition]?.eventsBetween(from, to) ?? []) skipped.add(event);
    return skipped;
  }

  /** Kafka has no retention by size of its own: Millrace deletes records. */
  dropOldest(): void {}

  async dropCovered(machine: Machine, isCovered: (zone: ZoneAddress, seq: number) => Promise<boolean>): Promise<void> {
    const log = await this.#opened(machine, machine);
    try {
      await log.retain({ olderThanMs: 0, bytesMax: Number.POSITIVE_INFINITY, isCovered }, Number.POSITIVE_INFINITY);
    } catch {
      // Brokers that do not respond: the next run tries again.
    } finally {
      await log.close();
    }
  }

  #opened(machine: Machine, clock: Clock): Promise<KafkaLog> {
    const broker = this.#brokerFor(machine);
    return KafkaLog.open({
      ...{
        broker,
        index: this.#indexFor(machine, broker),
        clock,
        manifests: this.#manifests,
        cursors: new MemoryCursors(),
        consumers: this.#consumers,
      },
      ...{ deadLetters: NO_DEAD_LETTERS, shards: this.kafkas.length, shardOf: this.shardOf },
    });
  }

  /** A process has an index of its own, and all of a machine have one store. */
  #indexFor(machine: Machine, broker: ShardBroker): ZoneIndex {
    const store = this.#indexes.get(machine.name) ?? new MemoryZoneIndex(machine);
    this.#indexes.set(machine.name, store);
    return new ZoneIndex({ store, broker, clock: machine, savedRecordsMin: 4, batchesPerPlace: 4 });
  }

  /** The brokers as a machine sees them, with the faults of the log. */
  #brokerFor(machine: Machine): TopicBroker {
    const of = this.kafkas.map((kafka) => kafka.for(machine));
    const ask = <T>(shard: number, isWrite: boolean, work: (broker: ShardBroker) => Promise<T>): Promise<T> =>
      askFaulty({ machine, faults: this.faults, scheduler: this.#scheduler, isWrite }, () => work(of[shard] as ShardBroker));
    const all = <T>(work: (broker: ShardBroker, shard: number) => Promise<T>) =>
      Promise.all(of.map((_broker, shard) => ask(shard, false, (broker) => work(broker, shard)).catch(() => null)));
    const ends = () =>
      all(async (broker, shard) => {
        const start = await broker.startOf(shard);
        return (await broker.fetch(shard, start, { maxBytes: 1, waitMs: 0 })).highWatermark;
      });
    return {
      initProducer: (shard) => ask(shard, true, (broker) => broker.initProducer(shard)),
      produce: (shard, request) => ask(shard, true, (broker) => broker.produce(shard, request)),
      fetch: (shard, offset, limits) => ask(shard, false, (broker) => broker.fetch(shard, offset, limits)),
      startOf: (shard) => ask(shard, false, (broker) => broker.startOf(shard)),
      deleteBefore: (shard, offset) => ask(shard, true, (broker) => broker.deleteBefore(shard, offset)),
      starts: () => all((broker, shard) => broker.startOf(shard)),
      ends,
      confirmedEnds: ends,
      replicas: async () => of.map((_broker, shard) => ({ shard, isLed: true, replicas: 3, inSync: 3 })),
      bytes: async () => 0,
      id: async () => 'simulated',
      close: async () => {},
    };
  }
}

interface Request {
  readonly machine: Machine;
  readonly faults: ServiceFaults;
  readonly scheduler: Scheduler;
  readonly isWrite: boolean;
}

/** A request while the log has faults: its client gives up after a while, and does not know whether it was executed. */
function askFaulty<T>({ machine, faults, scheduler, isWrite }: Request, work: () => Promise<T>): Promise<T> {
  const { unavailable, slowMs, mute, hung, readOnly } = { ...faults };
  if (!(unavailable || slowMs > 0 || mute || hung || (readOnly && isWrite))) return work();
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new BrokerError('unknown', 'no response from the brokers'));
    if (unavailable || readOnly) return void machine.after(2, () => reject(new BrokerError('refused', 'the log is unavailable')));
    machine.after(REQUEST_MS_MAX + (mute || hung ? 0 : slowMs), giveUp);
    if (hung) return;
    // It takes effect although its client may have crashed meanwhile.
    scheduler.at(scheduler.now + slowMs, () => {
      const done = work();
      if (mute) done.catch(() => {});
      else done.then(resolve, reject);
    });
  });
}

const ownerIn = (name: string): string => name.split('#')[0] as string;

/** The valid batches of a shard in order, as they are replicated: by the rule as its design states it, not with the code of the platform. */
class ShardView {
  readonly #kafka: SimulatedKafka;
  readonly #onClaim: (epoch: number, name: string) => void;
  #next = 0;
  #owner: { readonly epoch: number; readonly name: string; written: number } | null = null;
  /** First offset and event of each batch. */
  readonly #events: { readonly offset: number; readonly event: string }[] = [];

  constructor(kafka: SimulatedKafka, onClaim: (epoch: number, name: string) => void) {
    this.#kafka = kafka;
    this.#onClaim = onClaim;
  }

  read(): WrittenBatch[] {
    const found: WrittenBatch[] = [];
    for (const { offset, value } of this.#kafka.replicatedFrom(this.#next)) {
      this.#next = offset + 1;
      const record = unpack(value) as Record<string, unknown>;
      if (record.kind === 'claim') {
        const { epoch, previous, nonce } = record as unknown as { epoch: number; previous: number; nonce: string };
        if (previous !== (this.#owner?.epoch ?? 0) || epoch <= previous) continue;
        this.#owner = { epoch, name: nonce, written: 0 };
        this.#onClaim(epoch, nonce);
        continue;
      }
      const owner = this.#owner;
      if (owner && record.kind === 'data' && owner.name === record.nonce && owner.written === record.index) {
        owner.written++;
        const batch = record.batch as EventBatch;
        found.push({ batch, by: ownerIn(owner.name), epoch: owner.epoch });
        for (let index = 0; index < (batch.events.length || 1); index++)
          this.#events.push({ offset, event: `${batch.zone} ${batch.firstSeq + index}` });
      }
    }
    return found;
  }

  eventsBetween(from: number, to: number): string[] {
    return this.#events.filter(({ offset }) => offset >= from && offset < to).map(({ event }) => event);
  }
}

/** Consumer groups that the log forgets no gap of. */
class NotedConsumers extends MemoryConsumers {
  readonly gaps: ConsumerGap[] = [];

  override async recordGap(group: string, gap: ConsumerGap): Promise<void> {
    this.gaps.push(gap);
    await super.recordGap(group, gap);
  }
}

/** No event of the simulation is rejected. */
const NO_DEAD_LETTERS: DeadLetterBox & { prune(): Promise<void> } = {
  put: () => Promise.reject(new Error('no event is rejected')),
  has: async () => false,
  wasPut: async () => false,
  count: async () => 0,
  list: async () => [],
  replace: async () => {},
  open: async () => undefined,
  remove: async () => {},
  prune: async () => {},
};
