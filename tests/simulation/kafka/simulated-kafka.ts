import { BrokerError, type Fetched, type ProduceRequest, type Producer, type ShardBroker, type StoredRecord } from '@millrace/kafka';
import { Machine, type Scheduler } from '../scheduler.ts';

const BROKERS = 3;
const MIN_IN_SYNC = 2;
/** Time limit of a client for one request, ms. */
const REQUEST_MS_MAX = 400;
/** Interval of replication, ms. */
const REPLICATION_MS = 4;
/** A follower that was not up to date for this long leaves the in-sync replicas, ms. */
const LAG_MS_MAX = 150;
/** A broker that does not respond for this long loses its leadership, ms. */
const SESSION_MS = 200;
/** Batches of a producer that a broker remembers to recognise repeats. */
const REMEMBERED_BATCHES = 5;
const SEQUENCES = 2 ** 31;

/** Shares and limits of faults between clients and brokers. */
export interface KafkaFaults {
  lostRequests: number;
  lostResponses: number;
  repeatedRequests: number;
  /** Share of requests that arrive up to `lateMsMax` late, after their sender has given up. */
  lateRequests: number;
  lateMsMax: number;
  /** Brokers forget a producer that has written nothing for so long, ms. */
  producerExpiryMs: number;
  /** Producer epochs of one producer id. Then the next id is used, and the brokers do not refuse the last one. */
  producerEpochsMax: number;
}

export function noKafkaFaults(): KafkaFaults {
  return {
    lostRequests: 0,
    lostResponses: 0,
    repeatedRequests: 0,
    lateRequests: 0,
    lateMsMax: 2_000,
    producerExpiryMs: Number.POSITIVE_INFINITY,
    producerEpochsMax: 2 ** 15,
  };
}

/** A batch as a replica has it. */
interface Stored {
  readonly offset: number;
  readonly records: readonly StoredRecord[];
  readonly producer: Producer;
  readonly sequence: number;
  /** Wall clock of the broker that accepted it. */
  readonly time: number;
}

interface Replica {
  readonly machine: Machine;
  batches: Stored[];
  /** Offset of the oldest record. */
  start: number;
  /** Offset after the newest replicated record, as far as this replica knows. */
  highWatermark: number;
  /** Term of the newest leader that it knows, and whether it is that leader itself. */
  term: number;
  isLeader: boolean;
  /** When it was up to date last, ms of the scheduler. */
  caughtUpAt: number;
}

/** One shard of a topic on three brokers, with leaders, followers, in-sync replicas and producer states. All times are virtual. */
export class SimulatedKafka {
  readonly faults = noKafkaFaults();
  readonly brokers: readonly Machine[];
  /** Clients whose requests are lost. */
  readonly cutOff = new Set<Machine>();
  readonly #scheduler: Scheduler;
  readonly #replicas: readonly Replica[];
  /** Data of the controller. */
  #term = 1;
  #leader = 0;
  readonly #inSync: Set<number>;
  readonly #unheardSince = new Map<number, number>();
  /** Data of the transaction coordinator. */
  #producers = 0n;
  #current: Producer | null = null;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
    this.brokers = Array.from({ length: BROKERS }, (_none, index) => new Machine(`broker ${index}`, scheduler));
    this.#replicas = this.brokers.map((machine, index) => ({
      machine,
      batches: [],
      start: 0,
      highWatermark: 0,
      term: 1,
      isLeader: index === 0,
      caughtUpAt: 0,
    }));
    this.#inSync = new Set(this.brokers.keys());
    this.#repeat(REPLICATION_MS, () => this.#replicate());
    this.#repeat(20, () => this.#control());
  }

  get leader(): Machine {
    return this.brokers[this.#leader] as Machine;
  }

  /** Whether records were deleted. */
  wasCut(): boolean {
    return (this.#replicas[this.#leader] as Replica).start > 0;
  }

  /** Records that are replicated now, oldest first, of the current leader. */
  replicated(): { offset: number; value: Buffer }[] {
    const { batches, highWatermark, start } = this.#replicas[this.#leader] as Replica;
    return recordsOf(batches).filter(({ offset }) => offset >= start && offset < highWatermark);
  }

  /** Replicated records from an offset on, oldest first. */
  replicatedFrom(from: number): { offset: number; value: Buffer }[] {
    const { batches, highWatermark } = this.#replicas[this.#leader] as Replica;
    return recordsFrom(batches, from).filter(({ offset }) => offset >= from && offset < highWatermark);
  }

  /** The brokers as one client sees them. */
  for(client: Machine): ShardBroker {
    return {
      initProducer: () => this.#request(client, () => this.#initProducer()),
      produce: (_shard, request) => this.#request(client, () => this.#produce(request)),
      fetch: (_shard, offset, { waitMs }) => this.#request(client, () => this.#fetch(offset, waitMs), waitMs),
      startOf: () => this.#request(client, async () => (await this.#leaderFor()).start),
      deleteBefore: (_shard, offset) => this.#request(client, () => this.#deleteBefore(offset)),
    };
  }

  /** Sends a request. `work` returns a promise, which may never settle. */
  #request<T>(client: Machine, work: () => Promise<T>, waitMs = 0): Promise<T> {
    const { faults } = this;
    const scheduler = this.#scheduler;
    return new Promise<T>((resolve, reject) => {
      const { life } = client;
      const isLate = scheduler.chance(faults.lateRequests);
      const copies =
        scheduler.chance(faults.lostRequests) || this.cutOff.has(client) ? 0 : scheduler.chance(faults.repeatedRequests) ? 2 : 1;
      const cancel = client.after(REQUEST_MS_MAX + waitMs, () => reject(new BrokerError('unknown', 'no response from the broker')));
      for (let copy = 0; copy < copies; copy++) {
        const late = isLate || copy > 0 ? scheduler.between(0, faults.lateMsMax) : 0;
        scheduler.at(scheduler.now + scheduler.between(0.2, 3) + late, () => {
          const answer = (settle: () => void) => {
            if (scheduler.chance(faults.lostResponses)) return;
            scheduler.at(scheduler.now + scheduler.between(0.2, 3), () =>
              client.run(() => {
                if (client.life !== life) return;
                cancel();
                settle();
              }),
            );
          };
          work().then(
            (result) => answer(() => resolve(result)),
            (error) => answer(() => reject(error)),
          );
        });
      }
    });
  }

  async #initProducer(): Promise<Producer> {
    const { producerEpochsMax } = this.faults;
    this.#current =
      this.#current === null || this.#current.epoch + 1 >= producerEpochsMax
        ? { id: ++this.#producers, epoch: 0 }
        : { id: this.#current.id, epoch: this.#current.epoch + 1 };
    return this.#current;
  }

  /** The broker that clients take for the leader: the newest one, or an earlier one that does not know yet that it has been replaced. */
  #leaderFor(): Promise<Replica> {
    const replica =
      this.#replicas.find(({ isLeader, term }) => isLeader && term < this.#term && this.#scheduler.chance(0.5)) ??
      (this.#replicas[this.#leader] as Replica);
    return new Promise((resolve, reject) => {
      replica.machine.run(() => {
        if (replica.isLeader) resolve(replica);
        else reject(new BrokerError('refused', 'not the leader'));
      });
    });
  }

  async #produce({ producer, sequence, records }: ProduceRequest): Promise<number> {
    const replica = await this.#leaderFor();
    if (replica.term === this.#term && this.#inSync.size < MIN_IN_SYNC) throw new BrokerError('refused', 'not enough in-sync replicas');
    const time = replica.machine.now();
    const state = producerState(replica.batches, producer.id, time, this.faults.producerExpiryMs);
    if (state && producer.epoch < state.epoch) throw new BrokerError('fenced', 'a newer producer epoch');
    const repeated = state?.batches.find((batch) => batch.producer.epoch === producer.epoch && batch.sequence === sequence);
    let offset = repeated?.offset;
    if (offset === undefined) {
      const isExpected = !state || (producer.epoch > state.epoch ? sequence === 0 : sequence === state.next);
      if (!isExpected) throw new BrokerError('out-of-order', `sequence ${sequence}, expected ${state?.next}`);
      offset = endOf(replica);
      replica.batches.push({ offset, records, producer, sequence, time });
    }
    const end = offset + records.length;
    const { term } = replica;
    const stored = replica.batches.find((batch) => batch.offset === offset);
    // The response comes when the in-sync replicas have it.
    for (;;) {
      if (!replica.isLeader || replica.term !== term || !stored || !replica.batches.includes(stored))
        throw new BrokerError('unknown', 'not the leader any more');
      if (replica.highWatermark >= end) {
        if (this.#inSync.size < MIN_IN_SYNC) throw new BrokerError('unknown', 'not enough in-sync replicas after the append');
        return offset;
      }
      await new Promise<void>((resolve) => void replica.machine.after(REPLICATION_MS, resolve));
    }
  }

  async #fetch(offset: number, waitMs: number): Promise<Fetched> {
    const replica = await this.#leaderFor();
    const until = this.#scheduler.now + waitMs;
    for (;;) {
      if (!replica.isLeader) throw new BrokerError('refused', 'not the leader');
      const { highWatermark, start, batches } = replica;
      if (offset < start) throw new BrokerError('out-of-range', `the oldest record has offset ${start}`);
      const records = recordsFrom(batches, offset).filter((record) => record.offset >= offset && record.offset < highWatermark);
      if (records.length > 0 || this.#scheduler.now >= until) return { records: records.slice(0, 200), highWatermark, start };
      await new Promise<void>((resolve) => void replica.machine.after(5, resolve));
    }
  }

  async #deleteBefore(offset: number): Promise<void> {
    const replica = await this.#leaderFor();
    if (offset > replica.highWatermark) throw new BrokerError('out-of-range', 'beyond the high watermark');
    for (const one of this.#replicas) one.start = Math.max(one.start, offset);
    for (const one of this.#replicas) one.batches = one.batches.filter((batch) => batch.offset + batch.records.length > one.start);
  }

  /** Followers fetch from the leader. A follower first drops what the leader does not have. */
  #replicate(): void {
    const leader = this.#replicas[this.#leader] as Replica;
    const isReachable = ({ machine }: Replica) => machine.isUp && !machine.isPaused;
    if (!isReachable(leader) || !leader.isLeader) return;
    for (const [index, replica] of this.#replicas.entries()) {
      if (replica === leader || !isReachable(replica) || replica.isLeader || this.#scheduler.chance(0.2)) continue;
      if (!isPrefix(replica, leader)) {
        const has = new Set(leader.batches);
        const firstForeign = replica.batches.findIndex((batch) => !has.has(batch));
        if (firstForeign >= 0) replica.batches.splice(firstForeign);
      }
      const end = endOf(replica);
      const missing = leader.batches
        .slice(leader.batches.findLastIndex(({ offset }) => offset < end) + 1)
        .slice(0, 1 + Math.floor(this.#scheduler.between(0, 5)));
      replica.batches.push(...missing);
      if (endOf(replica) >= endOf(leader)) {
        replica.caughtUpAt = this.#scheduler.now;
        this.#inSync.add(index);
      }
      replica.highWatermark = Math.min(endOf(replica), leader.highWatermark);
    }
    for (const index of [...this.#inSync]) {
      const replica = this.#replicas[index] as Replica;
      if (replica !== leader && this.#scheduler.now - replica.caughtUpAt > LAG_MS_MAX) this.#inSync.delete(index);
    }
    const replicated = Math.min(...[...this.#inSync].map((index) => commonEnd(leader, this.#replicas[index] as Replica)));
    leader.highWatermark = Math.max(leader.highWatermark, replicated);
  }

  /** Elects a leader among the in-sync replicas when the current one does not respond. */
  #control(): void {
    for (const [index, { machine }] of this.#replicas.entries()) {
      if (machine.isUp && !machine.isPaused) this.#unheardSince.delete(index);
      else if (!this.#unheardSince.has(index)) this.#unheardSince.set(index, this.#scheduler.now);
    }
    const isGone = (index: number) => this.#scheduler.now - (this.#unheardSince.get(index) ?? this.#scheduler.now) >= SESSION_MS;
    if (isGone(this.#leader)) {
      const next = [...this.#inSync].find((index) => index !== this.#leader && !this.#unheardSince.has(index));
      if (next === undefined) return;
      this.#inSync.delete(this.#leader);
      this.#leader = next;
      this.#term++;
      // The in-sync replicas of the new leader are up to date until they prove otherwise.
      for (const replica of this.#replicas) replica.caughtUpAt = this.#scheduler.now;
    }
    // News of the controller.
    for (const [index, replica] of this.#replicas.entries()) {
      const { term } = { term: this.#term };
      if (replica.term < term)
        this.#scheduler.at(this.#scheduler.now + this.#scheduler.between(0, 15), () =>
          replica.machine.run(() => {
            if (replica.term >= term) return;
            replica.term = term;
            replica.isLeader = index === this.#leader && term === this.#term;
          }),
        );
    }
  }

  #repeat(ms: number, work: () => void): void {
    const next = () => {
      work();
      this.#scheduler.at(this.#scheduler.now + ms, next);
    };
    this.#scheduler.at(ms, next);
  }
}

/** What a broker knows of a producer: undefined when it knows nothing, or has forgotten it. */
function producerState(batches: readonly Stored[], id: bigint, now: number, expiryMs: number) {
  let known: { epoch: number; next: number; time: number; batches: Stored[] } | undefined;
  for (const batch of batches) {
    if (batch.producer.id !== id) continue;
    const { epoch } = batch.producer;
    const next = (batch.sequence + batch.records.length) % SEQUENCES;
    const isForgotten = !known || batch.time - known.time > expiryMs;
    const before: Stored[] = isForgotten || known?.epoch !== epoch ? [] : (known?.batches ?? []);
    known = { epoch, next, time: batch.time, batches: [...before, batch].slice(-REMEMBERED_BATCHES) };
  }
  return known && now - known.time <= expiryMs ? known : undefined;
}

function endOf({ batches, start }: Replica): number {
  const last = batches.at(-1);
  return last ? last.offset + last.records.length : start;
}

/** Offset up to which two replicas have the same batches: what a follower has of an earlier leader does not count as replicated. */
function commonEnd(leader: Replica, replica: Replica): number {
  if (isPrefix(replica, leader)) return endOf(replica);
  const firstOther = replica.batches.findIndex((batch, place) => batch !== leader.batches[place]);
  return firstOther < 0 ? endOf(replica) : (replica.batches[firstOther] as Stored).offset;
}

/** Whether a replica has the first batches of the leader and nothing else. Quickly: all replicas drop the same oldest batches, and append in order. */
function isPrefix({ batches }: Replica, leader: Replica): boolean {
  return batches.length === 0 || leader.batches[batches.length - 1] === batches.at(-1);
}

/** The records of the batches that may have some from an offset on. */
function recordsFrom(batches: readonly Stored[], offset: number): { offset: number; value: Buffer }[] {
  return recordsOf(
    batches.slice(
      Math.max(
        0,
        batches.findLastIndex((batch) => batch.offset <= offset),
      ),
    ),
  );
}

function recordsOf(batches: readonly Stored[]): { offset: number; value: Buffer }[] {
  return batches.flatMap(({ offset, records }) => records.map(({ value }, place) => ({ offset: offset + place, value })));
}
