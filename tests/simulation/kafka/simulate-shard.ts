import { isDeepStrictEqual } from 'node:util';
import { type Cursor, readShard, SHARD_START } from '@millrace/kafka';
import type { EventBatch } from '@millrace/kernel';
import { Machine, Scheduler } from '../scheduler.ts';
import { type History, LeaseService, type Manifest, newManifest, ShardOwner } from './shard-owner.ts';
import { noKafkaFaults, SimulatedKafka } from './simulated-kafka.ts';
import { mistakesIn, type ValidLog, validRecords } from './valid-records.ts';

const OWNERS = 3;
/** Time with faults, and the time after it in which everything must work, ms. */
const FAULTY_MS = 6_000;
const CALM_MS = 4_000;
/** Share of the log that a consumer has read at the end: the newest batches may still be on their way to it. */
const READ_SHARE_MIN = 0.8;

interface World {
  readonly scheduler: Scheduler;
  readonly kafka: SimulatedKafka;
  readonly leases: LeaseService;
  readonly machines: readonly Machine[];
  readonly history: History;
  readonly manifest: Manifest;
  readonly owners: Map<Machine, ShardOwner>;
  readonly cuts: number;
  processes: number;
}

/** What a run has shown. `mistakes` are violated promises of the log. */
export interface ShardRun {
  readonly mistakes: readonly string[];
  /** Commands that were answered as durable, and claims that succeeded. */
  readonly durable: number;
  readonly owned: number;
  /** Records in the log, and those of them that are not valid. */
  readonly records: number;
  readonly invalid: number;
}

/** Runs owners of one shard against brokers with faults. */
export async function simulateShard(seed: number): Promise<ShardRun> {
  const scheduler = new Scheduler(seed);
  const machines = Array.from({ length: OWNERS }, (_none, index) => new Machine(`owner ${index}`, scheduler));
  const world: World = {
    scheduler,
    kafka: new SimulatedKafka(scheduler),
    leases: new LeaseService(new Machine('leases', scheduler)),
    machines,
    history: { durable: new Map(), refused: [], owned: 0 },
    manifest: newManifest(),
    owners: new Map(),
    cuts: scheduler.chance(0.3) ? 0.5 : 0,
    processes: 0,
  };
  for (const machine of machines) startOwner(world, machine);
  const readers = [0, 1].map((index) => new ShardConsumer(world, new Machine(`reader ${index}`, scheduler)));
  plantFaults(world);
  await scheduler.runUntil(FAULTY_MS);
  heal(world);
  const before = world.history.durable.size;
  await scheduler.runUntil(FAULTY_MS + CALM_MS);
  const records = world.kafka.replicated();
  const log = validRecords(records);
  const mistakes = mistakesIn(log, world.history, world.kafka.wasCut());
  if (world.history.durable.size === before) mistakes.push('no command was answered after the faults');
  for (const reader of readers) mistakes.push(...reader.check(log));
  const { durable, owned } = world.history;
  return { mistakes, durable: durable.size, owned, records: records.length, invalid: records.length - log.length };
}

function startOwner(world: World, machine: Machine): void {
  world.owners.get(machine)?.stop();
  const { scheduler, kafka, leases, history, manifest, cuts } = world;
  const name = `${machine.name}.${++world.processes}`;
  const broker = kafka.for(machine);
  world.owners.set(machine, new ShardOwner({ clock: machine, broker, random: scheduler, leases, history, manifest, cuts, name }));
}

/** Sets faults at random times, each for a while. */
function plantFaults(world: World): void {
  const { scheduler, kafka, leases } = world;
  const { faults } = kafka;
  if (scheduler.chance(0.4)) faults.producerExpiryMs = scheduler.between(60, 1_000);
  if (scheduler.chance(0.3)) faults.producerEpochsMax = 2;
  const kinds: (() => () => void)[] = [
    () => set(faults, 'lostRequests', scheduler.between(0.02, 0.4), 0),
    () => set(faults, 'lostResponses', scheduler.between(0.02, 0.4), 0),
    () => set(faults, 'repeatedRequests', scheduler.between(0.05, 0.5), 0),
    () => set(faults, 'lateRequests', scheduler.between(0.02, 0.4), 0),
    () => set(leases, 'isForgetful', true, false),
    () => paused(scheduler.pick(kafka.brokers)),
    () => paused(kafka.leader),
    () => paused(scheduler.pick(world.machines)),
    () => {
      const broker = scheduler.chance(0.7) ? kafka.leader : scheduler.pick(kafka.brokers);
      broker.crash();
      return () => broker.start();
    },
    () => {
      const machine = scheduler.pick(world.machines);
      machine.crash();
      return () => {
        if (machine.isUp) return;
        machine.start();
        startOwner(world, machine);
      };
    },
    () => {
      const broker = scheduler.pick(kafka.brokers);
      broker.offsetMs = scheduler.between(-2_000, 2_000);
      return () => {
        broker.offsetMs = 0;
      };
    },
  ];
  const next = () => {
    if (scheduler.now > FAULTY_MS) return;
    const end = scheduler.pick(kinds)();
    scheduler.at(scheduler.now + scheduler.between(20, 1_200), end);
    scheduler.at(scheduler.now + scheduler.between(10, 500), next);
  };
  scheduler.at(200, next);
}

/** @returns function that sets the neutral value again, not the one before: faults of one kind may overlap */
function set<K extends string, V>(object: Record<K, V>, name: K, value: V, neutral: V): () => void {
  object[name] = value;
  return () => {
    object[name] = neutral;
  };
}

function paused(machine: Machine): () => void {
  machine.pause();
  return () => machine.resume();
}

function heal(world: World): void {
  const { kafka, leases, machines } = world;
  const { producerEpochsMax } = kafka.faults;
  Object.assign(kafka.faults, noKafkaFaults(), { producerEpochsMax });
  leases.isForgetful = false;
  for (const broker of kafka.brokers) {
    broker.offsetMs = 0;
    if (broker.isUp) broker.resume();
    else broker.start();
  }
  for (const machine of machines) {
    if (machine.isUp) machine.resume();
    else {
      machine.start();
      startOwner(world, machine);
    }
  }
}

/** Reads the shard like a consumer group: saves its place from time to time, and continues from there after a crash. */
class ShardConsumer {
  readonly #world: World;
  readonly #machine: Machine;
  #saved: { cursor: Cursor; read: EventBatch[] } = { cursor: SHARD_START, read: [] };
  #cursor: Cursor = SHARD_START;
  #read: EventBatch[] = [];
  #wasOvertaken = false;

  constructor(world: World, machine: Machine) {
    this.#world = world;
    this.#machine = machine;
    void this.#run();
    const crash = () => {
      if (world.scheduler.now > FAULTY_MS) return;
      machine.crash();
      machine.start();
      this.#cursor = this.#saved.cursor;
      this.#read = [...this.#saved.read];
      void this.#run();
      world.scheduler.at(world.scheduler.now + world.scheduler.between(200, 1_500), crash);
    };
    world.scheduler.at(world.scheduler.between(200, 1_500), crash);
  }

  async #run(): Promise<void> {
    const broker = this.#world.kafka.for(this.#machine);
    for (;;) {
      try {
        const { batches, next } = await readShard(broker, 0, this.#cursor, { maxBytes: 1_000_000, waitMs: 20 });
        this.#read.push(...batches.map(({ batch }) => batch));
        this.#cursor = next;
        if (this.#world.scheduler.chance(0.1)) this.#saved = { cursor: next, read: [...this.#read] };
      } catch (error) {
        this.#wasOvertaken ||= (error as { failure?: string }).failure === 'out-of-range';
        await new Promise<void>((resolve) => void this.#machine.after(20, resolve));
      }
    }
  }

  /** What was read must be the log, up to some place. */
  check(log: ValidLog): string[] {
    if (this.#wasOvertaken || this.#world.kafka.wasCut()) return [];
    const expected = log.slice(0, this.#read.length).map(({ batch }) => batch);
    if (!isDeepStrictEqual(this.#read, expected)) return ['a consumer has read something else than the log has'];
    return this.#read.length < log.length * READ_SHARE_MIN ? [`a consumer has read ${this.#read.length} of ${log.length} batches`] : [];
  }
}
