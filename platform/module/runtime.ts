import type { ModuleContract, Port } from '@millrace/contracts';
import { failureReason } from '@millrace/database';
import type { HttpParts } from '@millrace/http';
import { ConsumerGroup, type Projection, reactorProjection } from '@millrace/log';
import type { InitialEvent } from '@millrace/streams';
import type { Metrics } from '@millrace/telemetry';
import { type Topic, type ZoneKind, Zones } from '@millrace/topics';
import type { AlertCondition } from './alerts.ts';
import { type Channels, channelsOf } from './channel-check.ts';
import type { ChannelSource } from './channels.ts';
import { type Consumer, consumerOf } from './consumer.ts';
import { every } from './jobs.ts';
import type {
  Installation,
  ModuleContext,
  ModuleDefinition,
  ModuleParts,
  ProjectionPart,
  ReactorPart,
  Service,
  WatchedOutbox,
} from './module.ts';
import { orderModules } from './order.ts';
import { reactorOffsets } from './reactor-offsets.ts';
import { recordEndpoints, requireReadSources, requireServed } from './served-endpoints.ts';

/** The part of the context that all modules share. */
export type SharedContext = Omit<ModuleContext, 'zones' | 'topic' | 'group' | 'need' | 'use' | 'provide' | 'countDecided' | 'installation'>;

/** Modules of a process, with what they need. */
export interface RuntimeOptions {
  readonly modules: readonly ModuleDefinition[];
  readonly shared: SharedContext;
  /** Topics of the modules, open. */
  readonly topics: ReadonlyMap<string, Topic>;
  readonly installation: Installation;
  readonly countDecided: ModuleContext['countDecided'];
}

interface Group {
  readonly name: string;
  readonly part: ProjectionPart;
  readonly group: ConsumerGroup;
  /** Resolves when it has started. Null while it waits for its store, and after it was stopped. */
  started: Promise<void> | null;
}

interface OpenModule {
  readonly contract: ModuleContract;
  readonly parts: ModuleParts;
}

/** Opens, serves and closes the modules of a process. */
export class ModuleRuntime {
  readonly #options: RuntimeOptions;
  readonly #modules: OpenModule[] = [];
  readonly #groups = new Map<string, Group>();
  readonly #ports = new Map<string, unknown>();
  readonly #running: Service[] = [];
  #stopJobs: (() => Promise<void>)[] = [];
  #isStopping = false;
  #channels: Channels | null = null;

  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  /**
   * Opens the enabled modules, each after the modules whose ports it uses, and starts their consumer groups.
   * @throws TypeError when a definition is invalid or conflicts with another one; any error of a module
   */
  async open(): Promise<void> {
    const { modules, shared } = this.#options;
    const enabled = modules.filter(({ isEnabled }) => isEnabled?.(shared.settings) ?? true);
    for (const definition of orderModules(enabled)) {
      const { contract } = definition;
      const parts = await definition.open(this.#contextOf(definition));
      for (const { name } of definition.provides ?? [])
        if (!this.#ports.has(name)) throw new TypeError(`Module "${contract.name}" does not provide its port "${name}".`);
      requireReadSources(contract, parts);
      this.#modules.push({ contract, parts });
      if (shared.roles.has('projector'))
        for (const [name, part] of Object.entries(parts.projections ?? {})) this.#startGroup(contract.name, name, part);
      if (shared.roles.has('zones'))
        for (const [name, part] of Object.entries(parts.reactors ?? {}))
          this.#startGroup(contract.name, name, this.#reactorPart(name, part as ReactorPart));
    }
  }

  /** Contracts of the open modules. */
  get contracts(): readonly ModuleContract[] {
    return this.#modules.map(({ contract }) => contract);
  }

  /** Channels of the modules. Call it after `open`. */
  channels(): Channels {
    this.#channels ??= channelsOf(this.contracts, (kind) => this.#channelSource(kind));
    return this.#channels;
  }

  /** Initial events of a channel. */
  initial(name: string): Iterable<InitialEvent> {
    return this.#channels?.initial(name) ?? [];
  }

  /** Adds the routes of every module. @throws TypeError when an endpoint of a contract has no handler */
  register(server: HttpParts): void {
    for (const { contract, parts } of this.#modules) {
      const { routes, served } = recordEndpoints(server.routes);
      parts.routes?.(routes, server);
      requireServed(contract, served);
    }
  }

  get sockets(): NonNullable<ModuleParts['sockets']> {
    return Object.assign({}, ...this.#modules.map(({ parts }) => parts.sockets ?? {}));
  }

  get health(): NonNullable<ModuleParts['health']> {
    return this.#modules.flatMap(({ parts }) => parts.health ?? []);
  }

  get ports(): Readonly<Record<string, number>> {
    return Object.assign({}, ...this.#modules.map(({ parts }) => parts.ports ?? {}));
  }

  status(): Record<string, string> {
    return Object.assign({}, ...this.#modules.map(({ parts }) => parts.status?.() ?? {}));
  }

  metrics(metrics: Metrics): void {
    for (const { parts } of this.#modules) parts.metrics?.(metrics);
  }

  *conditions(time: number): Generator<AlertCondition> {
    for (const { parts } of this.#modules) yield* parts.alerts?.(time) ?? [];
  }

  outboxes(): WatchedOutbox[] {
    return this.#modules.flatMap(({ parts }) => parts.outboxes?.() ?? []);
  }

  /** Every consumer group of the modules, in this process and in others. */
  consumers(): Consumer[] {
    return [...this.#consumers, ...this.#modules.flatMap(({ parts }) => parts.consumers ?? [])];
  }

  readonly #consumers: Consumer[] = [];

  /** @throws TypeError when no group of this name runs in this process */
  group(name: string): ConsumerGroup {
    const found = this.#groups.get(name);
    if (!found) throw new TypeError(`No consumer group "${name}" runs in this process.`);
    return found.group;
  }

  port<T>({ name }: Port<T>): T | null {
    return (this.#ports.get(name) as T | undefined) ?? null;
  }

  /** Starts services and jobs. Call it when the server accepts requests. @param url base URL of the server */
  async start(url: string): Promise<void> {
    const { roles, logger } = this.#options.shared;
    for (const { parts } of this.#modules) {
      for (const service of Object.values(parts.services ?? {})) {
        if (!roles.has(service.role)) continue;
        await service.start(url);
        this.#running.push(service);
      }
      for (const [name, { role, everyMs, run }] of Object.entries(parts.jobs ?? {}))
        if (roles.has(role)) this.#stopJobs.push(every(everyMs, run, (error) => logger.error({ err: error, job: name }, 'job failed')));
    }
  }

  /** Stops jobs, then services in the reverse order of their start. Call it before the server stops accepting requests. */
  async stopServices(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#stopJobs.map((stop) => stop()));
    this.#stopJobs = [];
    for (const service of this.#running.splice(0).reverse()) await service.stop?.();
  }

  /** Waits until projections have read all events of the logs. @param within adds a time limit to a wait */
  async caughtUp(within: (caughtUp: Promise<void>) => Promise<void>): Promise<void> {
    await Promise.all([...this.#groups.values()].map(({ group, started, part }) => started && !part.sendsTo && within(group.caughtUp())));
  }

  /** Stops the groups that send commands to zones. */
  stopReactors(): Promise<void> {
    return this.#stopGroups(({ sendsTo }) => sendsTo !== undefined);
  }

  /** Waits until projections have read all events of the logs, then stops all groups. @param within adds a time limit to a wait */
  async stopProjections(within: (caughtUp: Promise<void>) => Promise<void>): Promise<void> {
    await this.caughtUp(within);
    await this.#stopGroups(() => true);
  }

  /** Closes the modules, in the reverse order of their opening. */
  async close(): Promise<void> {
    for (const { parts } of this.#modules.toReversed()) await parts.close?.();
  }

  async #stopGroups(which: (part: ProjectionPart) => boolean): Promise<void> {
    const running = [...this.#groups.values()].filter(({ started, part }) => started && which(part));
    for (const entry of running) entry.started = null;
    await Promise.all(running.map(({ group }) => group.stop()));
  }

  #startGroup(module: string, name: string, part: ProjectionPart): void {
    const { clock, logger, database } = this.#options.shared;
    if (part.projection.name !== name)
      throw new TypeError(`Module "${module}" lists the consumer group "${part.projection.name}" as "${name}". Use one name.`);
    if (this.#groups.has(name)) throw new TypeError(`Two modules have a consumer group "${name}".`);
    const { log, place } = this.#topic(part.topic);
    const onFailure = (message: string) => logger.warn(message);
    const group = new ConsumerGroup(log, part.projection, clock, onFailure, part.reasonOf ?? failureReason);
    const entry: Group = { name, part, group, started: null };
    this.#groups.set(name, entry);
    const consumer = consumerOf(group, part.topic, log);
    this.#consumers.push(consumer);
    const start = () => {
      // An operator who has paused it meanwhile starts it by resuming it.
      if (!this.#isStopping) entry.started = consumer.status().state === 'paused' ? Promise.resolve() : group.start();
      return entry.started;
    };
    const after = [part.after, place.log.engine === 'kafka' ? database.ready : undefined].filter((one) => one !== undefined);
    if (after.length > 0) void Promise.all(after).then(start);
    // Not awaited: a store that cannot be read must not block the server. `caughtUp` waits for the group.
    else void start();
  }

  #reactorPart(name: string, { from, to, wants, react }: ReactorPart): ProjectionPart {
    const { log } = this.#topic(from);
    const { host } = this.#topic(to);
    if (!host) throw new TypeError(`Reactor "${name}" sends commands to topic "${to}", whose zones are in other processes.`);
    const { logger } = this.#options.shared;
    const projection: Projection = reactorProjection({
      reactor: { name, wants, react },
      host,
      ...reactorOffsets(log, name),
      onRefused: (zone, refusal) => logger.warn({ reactor: name, zone, ...refusal }, 'zone refused the command of a reactor'),
    });
    return { topic: from, projection, sendsTo: to };
  }

  #channelSource(kind: string): ChannelSource | undefined {
    return this.#modules.find(({ parts }) => parts.channels?.[kind])?.parts.channels?.[kind];
  }

  #topic(name: string): Topic {
    const topic = this.#options.topics.get(name);
    if (!topic) throw new TypeError(`No enabled module has the topic "${name}".`);
    return topic;
  }

  #contextOf(definition: ModuleDefinition): ModuleContext {
    const { contract } = definition;
    const requireDeclared = (list: readonly Port<unknown>[] | undefined, { name }: Port<unknown>, listName: string) => {
      if (!list?.some((port) => port.name === name))
        throw new TypeError(`Module "${contract.name}" has no port "${name}" in "${listName}". Add it.`);
    };
    return {
      ...this.#options.shared,
      installation: this.#options.installation,
      countDecided: this.#options.countDecided,
      topic: (name) => this.#topic(name),
      zones: <State, Command>(kind: ZoneKind<State, Command>) => new Zones(kind, this.#topic(kind.topic)),
      group: (name) => this.group(name),
      need: <T>(port: Port<T>) => {
        requireDeclared(definition.needs, port, 'needs');
        return this.#ports.get(port.name) as T;
      },
      use: <T>(port: Port<T>) => {
        requireDeclared(definition.uses, port, 'uses');
        return this.port(port);
      },
      provide: (port, implementation) => {
        requireDeclared(definition.provides, port, 'provides');
        this.#ports.set(port.name, implementation);
      },
    };
  }
}
