import type { Settings } from '@millrace/config';
import type { ModuleContract, Port } from '@millrace/contracts';
import type { Database, DatabaseAddress } from '@millrace/database';
import type { HealthCheck } from '@millrace/health';
import type { HttpParts, OpenStreams, ResponseCache, Routes, Upgrade } from '@millrace/http';
import type { Clock, RandomNumbers, ZoneAddress } from '@millrace/kernel';
import type { ConsumerGroup, EventReactor, Projection, ShardPlacement } from '@millrace/log';
import type { EarlyProcess } from '@millrace/processes/early-process';
import type { Announcements, FanOut } from '@millrace/redis';
import type { InstallationSecrets } from '@millrace/secrets';
import type { SeriesStore } from '@millrace/series';
import type { Hub } from '@millrace/streams';
import type { Logger, Metrics } from '@millrace/telemetry';
import type { OutboxMode, Topic, ZoneKind, Zones } from '@millrace/topics';
import type { AlertSource } from './alerts.ts';
import type { ChannelSource } from './channels.ts';
import type { CommandGroups } from './command.ts';
import type { Consumer } from './consumer.ts';
import type { ProcessRole } from './roles.ts';

/*
 * A module is one definition of its contract and its parts. The server opens the modules of its registry in a loop and knows none of them by name.
 * Documents, clients, GraphQL, the access matrix and the console are derived from the contracts of the modules.
 */

// biome-ignore lint/suspicious/noExplicitAny: a definition lists kinds of many types; each is typed where it is defined and used.
export type AnyZoneKind = ZoneKind<any, any>;

/** Definition of a module: its contract, its zone kinds, the ports between modules, and the function that opens it. */
export interface ModuleDefinition {
  readonly contract: ModuleContract;
  /** Kinds of its zones. Their topics are topics of its contract. */
  readonly zones?: readonly AnyZoneKind[];
  /** Maximum number of open zones per topic, for topics that release unused zones. */
  readonly zonesMax?: (settings: Settings) => number;
  /** Placement of zones on the shards of their topic, by topic. Default: many zones on each shard, by a hash. */
  readonly placements?: Readonly<Record<string, ShardPlacement>>;
  /** Number of shards of the topics with a placement, by topic. */
  readonly shards?: (settings: Settings) => Readonly<Record<string, number>>;
  /** Interfaces of other modules that it needs. A module that provides one is opened before. */
  readonly needs?: readonly Port<unknown>[];
  /** Interfaces of other modules that it uses when the module that provides one is enabled. */
  readonly uses?: readonly Port<unknown>[];
  /** Interfaces that it provides to other modules. */
  readonly provides?: readonly Port<unknown>[];
  /** Commands of the command line, by group: `millrace <group> <command>`. */
  readonly commands?: CommandGroups;
  /** Whether it runs with these settings. Default: always. */
  readonly isEnabled?: (settings: Settings) => boolean;
  /** Processes that it will start. The server starts them early, so that they load their code at the same time as the server. */
  readonly processes?: (settings: Settings) => readonly EarlyProcess[];
  /** Opens the module and returns its parts. The topics and the modules that it needs are already open. */
  open(context: ModuleContext): ModuleParts | Promise<ModuleParts>;
}

/** Returns `definition`, checked. @throws TypeError when a zone kind names a topic that the contract does not have */
export function defineModule(definition: ModuleDefinition): ModuleDefinition {
  const { contract, zones = [] } = definition;
  for (const { kind, topic } of zones)
    if (!Object.hasOwn(contract.topics ?? {}, topic))
      throw new TypeError(`Zone kind "${kind}" of module "${contract.name}" names the topic "${topic}", which its contract does not have.`);
  return definition;
}

/** Services of the process for a module. */
export interface ModuleContext {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Roles of this process. */
  readonly roles: ReadonlySet<ProcessRole>;
  /** Publishes to the channels of this server. */
  readonly hub: Hub;
  /** Publishes to lossless channels at every server of the installation. */
  readonly fanOut: FanOut;
  /** Cached responses. A module invalidates those about what it decided, before it publishes. */
  readonly responses: ResponseCache;
  /** Open streams and WebSockets. */
  readonly streams: OpenStreams;
  /** Store of time series. */
  readonly series: SeriesStore;
  /** Id of this server. Null when it has the database to itself. */
  readonly serverId: string | null;
  readonly database: { readonly address: DatabaseAddress; readonly connection: Database; readonly ready: Promise<void> };
  /** Secrets of this server, in its data folder. */
  readonly ownSecrets: InstallationSecrets;
  /** Secrets that all servers of the installation share. */
  readonly sharedSecrets: InstallationSecrets;
  /** Source of the random numbers of zones. */
  readonly random: RandomNumbers;
  /** Sends mail. Null when no mail server is configured. */
  readonly mail: MailSender | null;
  /** Announces changes to the other servers of the installation. */
  announcements<T>(name: string, onMessage: (message: T) => void): Announcements<T>;
  /** Typed access to the zones of a kind of this module. */
  zones<State, Command>(kind: ZoneKind<State, Command>): Zones<State, Command>;
  topic(name: string): Topic;
  /** A consumer group of this module that runs in this process, by its name in `projections` or `reactors`. */
  group(name: string): ConsumerGroup;
  /** The interface behind a port in `needs`. */
  need<T>(port: Port<T>): T;
  /** The interface behind a port in `uses`. Null when no enabled module provides it. */
  use<T>(port: Port<T>): T | null;
  /** Provides the interface of a port in `provides`. */
  provide<T>(port: Port<T>, implementation: T): void;
  /** Counts events that zones in other processes decided, by `kind/type`. */
  countDecided(counts: Iterable<readonly [name: string, count: number]>): void;
  /** Everything that runs in this process, for modules that monitor the others. */
  readonly installation: Installation;
}

/** A plain-text mail. */
export interface MailMessage {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export interface MailSender {
  /** Resolves when the mail server has accepted the mail. @throws when the retries are used up, or the refusal is permanent */
  send(message: MailMessage): Promise<void>;
}

/** Everything that runs in this process, at the time of the call. */
export interface Installation {
  topics(): readonly Topic[];
  consumers(): readonly Consumer[];
  outboxes(): readonly WatchedOutbox[];
  /** Conditions for alerts of all modules. */
  conditions: AlertSource;
  /** Events decided since the last call, by `kind/type`. */
  takeDecided(): Iterable<readonly [name: string, count: number]>;
}

/** State of an outbox that shows whether its log can be written. */
export interface WatchedOutbox {
  /** Topic, or process that has the outbox. */
  readonly name: string;
  readonly mode: OutboxMode;
  readonly spooledBytes: number;
  /** Why events cannot be written to the log now. Null while they can, or when it is not known. */
  readonly lastFailure: string | null;
}

/** Parts of a module in one process. All are optional. */
export interface ModuleParts {
  /** Adds a handler for each endpoint of the contract. */
  readonly routes?: (routes: Routes, server: HttpParts) => void;
  /** By kind of channel. A channel without an entry has no initial events, and exists for any valid name. */
  readonly channels?: Readonly<Record<string, ChannelSource>>;
  /** WebSockets that authenticate their clients themselves, by path. */
  readonly sockets?: Readonly<Record<string, Upgrade>>;
  readonly projections?: Readonly<Record<string, ProjectionPart>>;
  readonly reactors?: Readonly<Record<string, ReactorPart>>;
  /** Consumer groups of this module in other processes. */
  readonly consumers?: readonly Consumer[];
  readonly services?: Readonly<Record<string, Service>>;
  readonly jobs?: Readonly<Record<string, Job>>;
  readonly metrics?: (metrics: Metrics) => void;
  readonly health?: readonly HealthCheck[];
  readonly alerts?: AlertSource;
  /** Outboxes of this module in other processes. */
  readonly outboxes?: () => readonly WatchedOutbox[];
  /** TCP ports that it listens on, by name. */
  readonly ports?: Readonly<Record<string, number>>;
  /** Lines of `GET /health/ready`, by name. */
  readonly status?: () => Readonly<Record<string, string>>;
  /** Closes what `open` opened. Services, consumer groups and hosts have stopped. */
  close?(): Promise<void> | void;
}

/** A consumer group that applies events to a store. */
export interface ProjectionPart {
  readonly topic: string;
  readonly projection: Projection;
  /** Topic whose zones it sends commands to: it stops before they do. */
  readonly sendsTo?: string;
  /** The group starts when this resolves: its store can be read. Default: at once. */
  readonly after?: Promise<unknown>;
  /** Text of an error for the server’s log output. It must not contain row data. Default: the message of the error. */
  readonly reasonOf?: (error: unknown) => string;
}

/** A consumer group that sends commands to zones of another topic. */
export interface ReactorPart<Event extends { type: string } = { type: string }> {
  /** Topic that it reads. */
  readonly from: string;
  /** Topic of the zones that its commands are for. */
  readonly to: string;
  readonly wants: (zone: ZoneAddress) => boolean;
  readonly react: EventReactor<Event>['react'];
}

/** Continuous work while the server runs. */
export interface Service {
  readonly role: ProcessRole;
  /** Called when the server accepts requests. @param url its base URL */
  start(url: string): Promise<void> | void;
  /** Called before the server stops accepting requests. */
  stop?(): Promise<void> | void;
}

/** Work at intervals. A run that takes longer than the interval delays the next one. */
export interface Job {
  readonly role: ProcessRole;
  readonly everyMs: number;
  run(): Promise<unknown> | unknown;
}
