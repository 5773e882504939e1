import { Coordinator } from '@millrace/cluster';
import type { WorldPlan, ZoneId } from '@millrace/contracts';
import { keyOf, zoneAddress } from '@millrace/kernel';
import { ConsumerGroup, type EventLog, openSpools } from '@millrace/log';
import { openFileSnapshots } from '@millrace/snapshots';
import { createLogger } from '@millrace/telemetry';
import { EMBEDDED } from '@millrace/topics';
import { allZones, Gateway, type HostPort, worldZone } from '@millrace/worlds';
import { shardsOf, WORLD_PLACEMENT } from '@millrace/worlds/placement';
import { type FromHost, type RunningZoneHost, runZoneHost, type ToHost } from '@millrace/worlds/zone-host';
import { ZoneCoverage } from '../../apps/server/zone-coverage.ts';
import type { SimulatedKafka } from './kafka/simulated-kafka.ts';
import { SimulatedTopic } from './kafka/simulated-topic.ts';
import { Network } from './network.ts';
import { Machine, type Scheduler } from './scheduler.ts';
import { SimulatedLog } from './simulated-log.ts';
import { SimulatedDisk, SimulatedFiles, SimulatedHotStore, SimulatedTable } from './simulated-stores.ts';
import type { ZoneLog } from './zone-log.ts';

const LEASE_MS = 1_000;
const RESTART_MS = 500;
/** Small enough to be filled by a long outage of the log. */
const SPOOL_BYTES = 24 * 1024;

/** Probability that a faulty function throws. */
const THROWS = 0.1;
/** Messages that only observers of a host send. */
const OBSERVED: ReadonlySet<string> = new Set(['cast', 'notice', 'snapshot', 'recovered']);

const PLAN: WorldPlan = { seed: 7, columns: 3, rows: 1, monsters: 2, items: 12 };

interface Host {
  readonly machine: Machine;
  readonly disk: SimulatedDisk;
  running: RunningZoneHost | null;
  runs: number;
  /** Parts of it that throw at random. */
  throws: 'nothing' | 'zones' | 'observers';
}

export interface ClusterOptions {
  /** Whether each zone has a standby host. */
  readonly hasStandbys?: boolean;
  /** Whether the log is in Kafka. */
  readonly isOnKafka?: boolean;
}

/** The whole world on simulated machines: the real parts, composed like in the server. */
export class Cluster {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly server: Machine;
  readonly reader: Machine;
  readonly hosts: Host[];
  readonly log: ZoneLog;
  /** The brokers of the log, if it is in Kafka: one group of three for each zone. */
  readonly kafkas: readonly SimulatedKafka[];
  readonly hot = new SimulatedHotStore();
  readonly files: SimulatedFiles;
  readonly table = new SimulatedTable();
  readonly zones: readonly ZoneId[] = allZones(PLAN);
  /** Trace of the run, for the analysis of a failure. */
  readonly story: string[] = [];
  gateway: Gateway | null = null;
  #coordinator: Coordinator | null = null;
  #ports = new Map<string, HostPort>();
  #secrets = 0;
  /** Frequent, so that some are taken while the log is unavailable, and so that retention can drop events. */
  readonly #snapshotTimes: { readonly hotEveryMs: number; readonly coldEveryMs: number };

  readonly #standbys: boolean;

  constructor(scheduler: Scheduler, hosts: number, { hasStandbys = false, isOnKafka = false }: ClusterOptions = {}) {
    this.scheduler = scheduler;
    this.#standbys = hasStandbys;
    const topic = isOnKafka ? new SimulatedTopic(scheduler, shardsOf(PLAN), WORLD_PLACEMENT.shardOf) : null;
    this.log = topic ?? new SimulatedLog(WORLD_PLACEMENT.shardOf);
    this.kafkas = topic?.kafkas ?? [];
    this.#snapshotTimes = { hotEveryMs: scheduler.pick([400, 1_500, 5_000]), coldEveryMs: scheduler.pick([1_000, 4_000, 60_000]) };
    this.network = new Network(scheduler);
    this.files = new SimulatedFiles(scheduler);
    this.server = new Machine('server', scheduler);
    this.reader = new Machine('reader', scheduler);
    this.hosts = Array.from({ length: hosts }, (_none, index) => ({
      machine: new Machine(`zones-${index + 1}`, scheduler),
      disk: new SimulatedDisk(scheduler),
      running: null,
      runs: 0,
      throws: 'nothing',
    }));
    this.startServer();
    for (const host of this.hosts) this.startHost(host);
    this.startReader();
  }

  note(what: string): void {
    this.story.push(`${Math.round(this.scheduler.now)} ms ${what}`);
  }

  startServer(): void {
    const { server } = this;
    server.start();
    this.#ports = new Map();
    const gateway = new Gateway({
      clock: server,
      zones: this.zones,
      limits: {
        commandsPerSecond: 100,
        commandsBurst: 200,
        framesPerSecond: 1_000,
        connectionsMax: 1_000,
        connectionsPerAddress: 1_000,
        limitLoopback: false,
        lingerMs: 5_000,
      },
      verify: async (token) => ({ player: token, name: token, user: null }),
      mayPlay: async () => true,
      secret: () => `secret-${++this.#secrets}`,
      busy: () => 0,
    });
    this.gateway = gateway;
    this.#coordinator = new Coordinator({
      clock: server,
      zones: this.zones.map((zone) => zoneAddress(worldZone.kind, zone)),
      leaseMs: LEASE_MS,
      hostsExpected: this.hosts.length,
      standbys: this.#standbys,
      send: (id, assignment) => this.#toHost(id, assignment),
      // The server kills only a host that may hold the lock of the log. Others continue: the log must refuse their later decisions.
      onHost: (id, what) => {
        const host = this.hosts.find(({ machine }) => machine.name === id);
        if (what !== 'silent' || !host || this.log.holder !== host.machine) return;
        this.note(`${id} stands still with the lock and is ended`);
        this.crashHost(host, false);
      },
      onPlaced: (address, id) => {
        this.note(`${address} is at ${id ?? 'nobody'}`);
        gateway.placed(keyOf(address), id === null ? null : this.#portOf(id));
      },
    });
  }

  /** Crashes the server, and with it all hosts, which depend on its leases. */
  crashServer(): void {
    this.server.crash();
    this.gateway = null;
    this.#coordinator = null;
    for (const host of this.hosts) this.crashHost(host, false);
  }

  startHost(host: Host): void {
    const { machine, disk } = host;
    machine.start();
    const incarnation = `run-${++host.runs}`;
    const owner = `${machine.name} ${incarnation}`;
    try {
      host.running = runZoneHost(
        {
          type: 'begin',
          id: machine.name,
          incarnation,
          log: EMBEDDED,
          data: '',
          plan: PLAN,
          leaseMs: LEASE_MS,
          spoolMiB: 0,
          randomSecret: 'simulated',
          whenIsolated: 'continue',
          recoverFrom: ['hot', 'cold'],
        },
        {
          stores: {
            log: this.log.journal(machine, owner),
            hot: this.hot.for(machine),
            cold: openFileSnapshots('cold', this.files.for(machine)),
            close: async () => {},
          },
          spools: openSpools(disk, { bytesMax: SPOOL_BYTES }),
          snapshotTimes: this.#snapshotTimes,
          clock: machine,
          definition: {
            ...worldZone,
            // In the middle of the command: the state has already changed.
            evolve: (state, event) => {
              worldZone.evolve(state, event);
              if (host.throws === 'zones' && this.scheduler.chance(THROWS)) throw new Error('a zone throws');
            },
          },
          send: (message) => {
            this.#toServer(host, message);
            if (host.throws === 'observers' && OBSERVED.has(message.type) && this.scheduler.chance(THROWS))
              throw new Error('an observer throws');
          },
        },
      );
    } catch (error) {
      // Like a process: it ends and is restarted later.
      this.note(`${owner} did not start: ${error}`);
      this.crashHost(host, true);
      this.server.after(RESTART_MS, () => this.server.isUp && !machine.isUp && this.startHost(host));
    }
  }

  /** @param isNoticed whether the end of its process is detected; otherwise only its lease expires */
  crashHost(host: Host, isNoticed: boolean): void {
    host.machine.crash();
    host.running = null;
    if (isNoticed) this.server.after(5, () => this.#coordinator?.left(host.machine.name));
  }

  /** Moves its zones to other hosts, if there are any, stops it in order, and restarts it. */
  replaceHost(host: Host): void {
    const { machine } = host;
    this.drain(host);
    this.server.after(this.scheduler.between(200, 3_000), () => {
      const { running } = host;
      if (!running || !machine.isUp || machine.isPaused) return this.welcome(host);
      void running.stop().then(() => {
        if (host.running !== running) return;
        this.crashHost(host, true);
        this.scheduler.at(this.scheduler.now + RESTART_MS, () => this.server.isUp && !machine.isUp && this.startHost(host));
      });
    });
  }

  startReader(): void {
    this.reader.start();
    const opened = this.log.open(this.reader);
    if (!(opened instanceof Promise)) return this.#read(opened);
    const { life } = this.reader;
    void opened.then(
      (log) => this.reader.life === life && this.#read(log),
      () => this.reader.after(500, () => this.startReader()),
    );
  }

  #read(log: EventLog): void {
    const consumer = new ConsumerGroup(log, this.table.for(this.reader), this.reader);
    // An operator sees that the group was overtaken by retention, and resumes it.
    const look = () => {
      if (consumer.stats().overtaken.length > 0) void consumer.skipDropped().catch(() => {});
      this.reader.after(1_000, look);
    };
    this.reader.after(1_000, look);
    void consumer.start().catch(() => this.reader.after(500, () => this.startReader()));
  }

  /** Retention by age, as in the server. */
  async retain(): Promise<void> {
    const { log, hot, files, server } = this;
    if (!server.isUp) return;
    const stores = { hot: hot.for(server), cold: openFileSnapshots('cold', files.for(server)) };
    const topic = { name: 'worlds', log: log.journal(server, 'retention'), stores, host: null, kinds: [worldZone] };
    const coverage = new ZoneCoverage(topic, { logger: createLogger('silent'), clock: server, stopping: new AbortController().signal });
    await log.dropCovered(server, (zone, seq) => coverage.covers(zone, seq));
  }

  drain(host: Host): void {
    this.#coordinator?.drain(host.machine.name);
  }

  welcome(host: Host): void {
    this.#coordinator?.undrain(host.machine.name);
  }

  #portOf(id: string): HostPort {
    let port = this.#ports.get(id);
    if (!port) {
      port = { id, send: (message) => this.#toHost(id, message) };
      this.#ports.set(id, port);
    }
    return port;
  }

  #toHost(id: string, message: Exclude<ToHost, { type: 'begin' }>): void {
    const host = this.hosts.find(({ machine }) => machine.name === id);
    if (host) this.network.send(this.server, host.machine, message, (arrived) => host.running?.received(arrived));
  }

  #toServer(host: Host, message: FromHost): void {
    this.network.send(host.machine, this.server, message, (arrived) => {
      switch (arrived.type) {
        case 'heartbeat':
          return this.#coordinator?.received(arrived);
        case 'failure':
          this.note(`${host.machine.name}: ${arrived.message.split('\n').slice(0, 3).join(' ')}`);
          return;
        case 'recovered':
          return this.note(`${arrived.zone} came back: ${arrived.steps.map(({ source, outcome }) => `${source} ${outcome}`).join(', ')}`);
        case 'snapshot':
        case 'host-stats':
          return;
        default:
          return this.gateway?.received(this.#portOf(host.machine.name), arrived);
      }
    });
  }
}
