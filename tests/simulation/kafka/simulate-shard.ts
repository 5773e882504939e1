import { isDeepStrictEqual } from 'node:util';
import { type Cursor, readShard, SHARD_START } from '@millrace/kafka';
import type { EventBatch } from '@millrace/kernel';
import { Machine, Scheduler } from '../scheduler.ts';
import { plantBrokerFaults } from './broker-faults.ts';
import { type History, LeaseService, type Manifest, newManifest, ShardOwner } from './shard-owner.ts';
import { SimulatedKafka } from './simulated-kafka.ts';
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
  const processes = machines.map((machine) => ({
    machine,
    crash: () => machine.crash(),
    start: () => {
      machine.start();
      startOwner(world, machine);
    },
  }));
  const heal = plantBrokerFaults(world, processes, FAULTY_MS);
  await scheduler.runUntil(FAULTY_MS);
  heal();
  for (const process of processes) if (!process.machine.isUp) process.start();
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
