import { KafkaJournal, MemoryManifests } from '@millrace/kafka';
import { defineZone, type EventBatch, type Lease, type RecoveryStep, type Reply, type ZoneAddress, ZoneHost } from '@millrace/kernel';
import { openNumbers } from '@millrace/kernel/testing';
import { openSpools } from '@millrace/log';
import { scheduleSnapshots } from '@millrace/snapshots';
import { Machine, Scheduler } from '../scheduler.ts';
import { SimulatedDisk, SimulatedHotStore } from '../simulated-stores.ts';
import { plantBrokerFaults } from './broker-faults.ts';
import { LeaseService } from './shard-owner.ts';
import { SimulatedKafka } from './simulated-kafka.ts';
import { validRecords } from './valid-records.ts';

/*
 * Zone hosts of the kernel on a shard of simulated brokers: three machines with overlapping leases, each with a spool of its own, and snapshots that they
 * share. Two of them stand by for the zones while another one owns them. Each event names the one before it, so that events of two branches do not fit together.
 */

const ZONES: readonly ZoneAddress[] = ['chain/a', 'chain/b', 'chain/c'];
const MACHINES = 3;
/** Of these, the machines that stand by. */
const STANDBYS = 2;
const FAULTY_MS = 8_000;
const CALM_MS = 12_000;
const RENEW_MS = 100;
const COMMAND_MS = 12;
const BEAT_MS = 500;
const SPOOL_BYTES = 64 * 1024;

interface Chain {
  last: string;
  count: number;
}
type Linked = { type: 'Linked'; id: string; previous: string };

const chain = defineZone<Chain, { id: string }, Linked>({
  kind: 'chain',
  version: 1,
  create: () => ({ last: '', count: 0 }),
  decide: ({ last }, { id }, { emit }) => emit({ type: 'Linked', id, previous: last }),
  evolve: (state, { id }) => {
    state.last = id;
    state.count++;
  },
});

export interface HostsRun {
  readonly mistakes: readonly string[];
  readonly durable: number;
  readonly unknown: number;
  readonly owned: number;
  readonly events: number;
  /** Recoveries that used a standby copy. */
  readonly standby: number;
}

/** What the senders of commands were told. */
interface Told {
  readonly durable: Map<string, { readonly zone: ZoneAddress; readonly seq: number }>;
  /** Ids of commands that were refused with a code that says that they have no effect. */
  readonly refused: Map<string, string>;
  unknown: number;
}

interface World {
  readonly scheduler: Scheduler;
  readonly kafka: SimulatedKafka;
  readonly leases: LeaseService;
  readonly manifests: MemoryManifests;
  readonly snapshots: SimulatedHotStore;
  readonly told: Told;
  readonly owners: Set<string>;
  /** Long ones overlap with those of others for longer. */
  readonly leaseMs: number;
  commands: number;
  names: number;
  standby: number;
}

/** Zones run on whichever machine has the lease. */
class HostMachine {
  readonly machine: Machine;
  readonly #world: World;
  readonly #disk: SimulatedDisk;
  readonly #standsBy: boolean;
  host: ZoneHost | null = null;

  constructor(name: string, world: World, standsBy: boolean) {
    this.#standsBy = standsBy;
    this.machine = new Machine(name, world.scheduler);
    this.#world = world;
    this.#disk = new SimulatedDisk(world.scheduler);
    this.start();
  }

  start(): void {
    const { machine } = this;
    const { kafka, leases, manifests, snapshots, owners, leaseMs } = this.#world;
    machine.start();
    const name = `${machine.name}.${++this.#world.names}`;
    let until = Number.NEGATIVE_INFINITY;
    const lease: Lease = { leftMs: () => until - machine.elapsed() };
    const newName = () => `${name}-${++this.#world.names}`;
    const broker = kafka.for(machine);
    const journal = new KafkaJournal({ broker, clock: machine, manifests, shards: 1, shardOf: () => 0, newName, beatMs: BEAT_MS });
    const store = snapshots.for(machine);
    const spools = openSpools(this.#disk, { bytesMax: SPOOL_BYTES });
    const none = { save: async () => {}, list: async () => [], load: () => Promise.reject(new Error('there is none')) };
    const onRecovered = (_zone: ZoneAddress, steps: readonly RecoveryStep[]) => {
      if (steps.some(({ source, outcome }) => source === 'standby' && typeof outcome === 'number')) this.#world.standby++;
    };
    const host = new ZoneHost({ log: journal, spools, hot: store, cold: none, clock: machine, random: openNumbers, lease, onRecovered });
    host.register(chain);
    if (this.#standsBy) host.standBy(ZONES);
    scheduleSnapshots(host, machine, { hotEveryMs: 300 });
    this.host = host;
    const renew = () => {
      machine.after(RENEW_MS, renew);
      const had = lease.leftMs() > 0;
      const has = had ? leases.renew(name, leaseMs) : leases.acquire(name, leaseMs);
      if (has) until = machine.elapsed() + leaseMs;
      // A lease that was granted to another machine as well is used until it ends.
      if (!had) for (const zone of host.addresses()) host.abandon(zone);
      if (lease.leftMs() <= 0) return;
      owners.add(name);
      for (const zone of ZONES) if (host.status(zone) === 'stopped') void host.open(zone).catch(() => {});
    };
    renew();
  }

  crash(): void {
    this.host = null;
    this.machine.crash();
    this.#disk.tear();
  }

  send(): void {
    const { scheduler, told } = this.#world;
    const { host } = this;
    if (!host || !this.machine.isUp || this.machine.isPaused) return;
    const zone = scheduler.pick(ZONES);
    const id = `c${++this.#world.commands}`;
    if (scheduler.chance(0.3)) return void host.send(zone, { id }, { id });
    void host.submit(zone, { id }, { id, durable: true }).then((reply: Reply) => {
      if (reply.ok) told.durable.set(id, { zone, seq: reply.seq });
      else if (reply.code === 'OUTCOME_UNKNOWN') told.unknown++;
      else told.refused.set(id, reply.code);
    });
  }
}

/** One run. The same seed gives the same run. */
export async function simulateHosts(seed: number): Promise<HostsRun> {
  const scheduler = new Scheduler(seed);
  const world: World = {
    scheduler,
    kafka: new SimulatedKafka(scheduler),
    leases: new LeaseService(new Machine('leases', scheduler)),
    manifests: new MemoryManifests(),
    snapshots: new SimulatedHotStore(),
    told: { durable: new Map(), refused: new Map(), unknown: 0 },
    owners: new Set(),
    leaseMs: scheduler.pick([400, 400, 5_000]),
    commands: 0,
    names: 0,
    standby: 0,
  };
  const machines = Array.from({ length: MACHINES }, (_none, index) => new HostMachine(`machine ${index}`, world, index < STANDBYS));
  const send = () => {
    scheduler.at(scheduler.now + COMMAND_MS, send);
    for (const one of machines) one.send();
  };
  send();
  const heal = plantBrokerFaults(world, machines, FAULTY_MS, true);
  await scheduler.runUntil(FAULTY_MS);
  heal();
  for (const one of machines) if (!one.machine.isUp) one.start();
  const before = world.told.durable.size;
  await scheduler.runUntil(FAULTY_MS + CALM_MS);
  const log = validRecords(world.kafka.replicated()).map(({ batch }) => batch);
  const mistakes = mistakesIn(log, world.told);
  if (world.told.durable.size < before + 100) mistakes.push('the zones did not go on after the faults');
  mistakes.push(...statesBehind(log, machines));
  const { told, owners } = world;
  const events = log.reduce((sum, batch) => sum + batch.events.length, 0);
  mistakes.push(...copiesAstray(log, machines));
  return { mistakes, durable: told.durable.size, unknown: told.unknown, owned: owners.size, events, standby: world.standby };
}

function mistakesIn(log: readonly EventBatch[], told: Told): string[] {
  const mistakes: string[] = [];
  const zones = new Map<string, { seq: number; last: string; time: number }>();
  const places = new Map<string, string>();
  const ids = new Set<string>();
  for (const { zone, firstSeq, epoch, events, time, loss } of log) {
    const at = zones.get(zone) ?? { seq: 0, last: '', time: 0 };
    if (firstSeq !== at.seq + 1) mistakes.push(`${zone}: event ${firstSeq} follows event ${at.seq}`);
    if (time < at.time) mistakes.push(`${zone}: the time of event ${firstSeq} is before that of the event before it`);
    at.time = time;
    at.seq = loss ? loss.lastSeq : firstSeq + events.length - 1;
    if (loss) at.last = (loss.checkpoint.state as Chain).last;
    for (const [index, { id, previous }] of (events as unknown as Linked[]).entries()) {
      if (previous !== at.last) mistakes.push(`${zone}: ${id} was decided after ${previous}, but follows ${at.last}`);
      if (places.has(id)) mistakes.push(`${id} is in the log twice`);
      const event = `${zone}/${epoch}/${firstSeq + index}`;
      if (ids.has(event)) mistakes.push(`two events are ${event}`);
      ids.add(event);
      places.set(id, `${zone} ${firstSeq + index}`);
      at.last = id;
    }
    zones.set(zone, at);
  }
  for (const [id, { zone, seq }] of told.durable)
    if (places.get(id) !== `${zone} ${seq}`)
      mistakes.push(`${id} was confirmed at ${zone} ${seq}, and is at ${places.get(id) ?? 'no place'}`);
  for (const [id, code] of told.refused) if (places.has(id)) mistakes.push(`${id} was refused with ${code}, and is in the log`);
  return mistakes;
}

/** The owner’s zones must be where the log is, or a little ahead of it. */
function statesBehind(log: readonly EventBatch[], machines: readonly HostMachine[]): string[] {
  const counts = new Map<string, number>();
  const lasts = new Map<string, Set<string>>();
  for (const { zone, events, loss } of log) {
    if (loss) counts.set(zone, (loss.checkpoint.state as Chain).count);
    counts.set(zone, (counts.get(zone) ?? 0) + events.length);
    for (const { id } of events as unknown as Linked[]) lasts.set(zone, (lasts.get(zone) ?? new Set()).add(id));
  }
  const views = ZONES.map((zone) => machines.map(({ host }) => host?.view(zone)).find((view) => view !== undefined));
  return views.flatMap((view, index) => {
    const zone = ZONES[index] as ZoneAddress;
    if (!view) return [`${zone} is open nowhere`];
    const { count } = view.state as Chain;
    const recorded = counts.get(zone) ?? 0;
    return count < recorded || count > recorded + 50 ? [`${zone} has ${count} events, and the log ${recorded}`] : [];
  });
}

/** A standby copy must be the chain of the log up to its seq. */
function copiesAstray(log: readonly EventBatch[], machines: readonly HostMachine[]): string[] {
  const mistakes: string[] = [];
  for (const zone of ZONES) {
    const states = new Map<number, Chain>();
    let state: Chain = { last: '', count: 0 };
    for (const { events, firstSeq, loss } of log.filter((batch) => batch.zone === zone)) {
      if (loss) {
        state = loss.checkpoint.state as Chain;
        states.set(loss.lastSeq, state);
      }
      for (const [index, { id }] of (events as unknown as Linked[]).entries()) {
        state = { last: id, count: state.count + 1 };
        states.set(firstSeq + index, state);
      }
    }
    for (const { machine, host } of machines) {
      const copy = host?.standbyOf(zone);
      if (!copy) continue;
      const { last, count } = copy.state as Chain;
      const wanted = states.get(copy.seq);
      if (wanted?.last !== last || wanted.count !== count)
        mistakes.push(
          `the copy of ${zone} at ${machine.name} has ${count} events up to ${last}, and the log ${wanted?.count} up to ${wanted?.last}`,
        );
    }
  }
  return mistakes;
}
