import { join } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import {
  type AnyZoneDefinition,
  type EventBatch,
  type HostFailure,
  type HostOptions,
  kindOf,
  type RandomNumbers,
  ZoneHost,
} from '@millrace/kernel';
import { type EventLog, LmdbLog, openSpools, writeEarlierSpools } from '@millrace/log';
import { scheduleSnapshots } from '@millrace/snapshots';
import { DecidedEvents } from './decided-events.ts';
import { type EmbeddedStores, type LocalStores, openTopicStores, type TopicPlace } from './stores.ts';

const MIB = 1024 * 1024;

/** Whether the log is on this machine. */
export function isEmbedded(stores: LocalStores): stores is EmbeddedStores {
  return stores.log instanceof LmdbLog;
}

/** Receives the batches that zones of one kind decided in a turn, each with the state after it. */
export type DecidedListener = (batch: EventBatch, state: unknown) => void;

/** A topic: zones that share a log, spools and snapshot stores. */
export interface Topic {
  readonly name: string;
  readonly folder: string;
  readonly place: TopicPlace;
  readonly stores: LocalStores;
  readonly log: EventLog;
  /** Host of its zones in this process. Null when its zones are in other processes. */
  readonly host: ZoneHost | null;
  /** Kinds of its zones in this process. */
  readonly kinds: readonly AnyZoneDefinition[];
  /** Why events cannot be written to the log now: the message of its last write error. Null while they can. */
  readonly lastFailure: string | null;
  /** Events decided here since the last call, by `kind/type`. */
  takeDecided(): [name: string, count: number][];
  /** Calls `listener` after each turn of a zone of this kind, in the order of the calls of `onDecided`. */
  onDecided(kind: string, listener: DecidedListener): void;
  /** Closes the host: it decides waiting commands, saves snapshots, and writes its events to the log or the spool. Idempotent. */
  closeHost(): Promise<void>;
  /** Closes the stores, after the host. */
  close(): Promise<void>;
}

/** Limits and dependencies of a topic. */
export interface TopicOptions {
  readonly spoolMiB: number;
  readonly random: RandomNumbers;
  readonly zonesMax?: number;
  readonly whenIsolated?: 'continue' | 'stop';
  readonly logger: {
    error(detail: object | string, message?: string): void;
    debug(detail: object, message: string): void;
  };
}

/** Opens the stores of a topic whose zones are in other processes. @throws what `openTopicStores` throws */
export async function openSharedTopic(name: string, place: TopicPlace): Promise<Topic> {
  const stores = await openTopicStores(place);
  const { folder } = place;
  return {
    name,
    folder,
    place,
    stores,
    log: stores.log,
    host: null,
    kinds: [],
    lastFailure: null,
    takeDecided: () => [],
    onDecided: () => {
      throw new TypeError(`The zones of topic "${name}" are in other processes, so no events are decided in this process.`);
    },
    closeHost: async () => {},
    close: () => stores.close(),
  };
}

/** Opens the stores of a topic and a host for its zones, and writes the events that an earlier run left on the spool to the log. */
export async function openTopic(
  name: string,
  place: TopicPlace,
  kinds: readonly AnyZoneDefinition[],
  { spoolMiB, random, zonesMax, whenIsolated, logger }: TopicOptions,
): Promise<Topic & { readonly host: ZoneHost }> {
  const { folder } = place;
  const stores = await openTopicStores(place);
  if (isEmbedded(stores)) await writeEarlierSpools(join(folder, 'spool'), stores.log, (message) => logger.error(message));
  const onDamage = (message: string) => logger.error(message);
  const spools = openSpools(join(folder, 'spool'), { bytesMax: spoolMiB * MIB, onDamage, writesLeft: true });
  const decided = new DecidedEvents();
  const listeners = new Map<string, DecidedListener[]>();
  let lastFailure: string | null = null;
  const options: HostOptions = {
    log: stores.log,
    hot: stores.hot,
    cold: stores.cold,
    spools,
    clock: systemClock,
    random,
    ...(whenIsolated !== undefined && { whenIsolated }),
    ...(zonesMax !== undefined && { zonesMax }),
    onDecided: (batch, state) => {
      decided.count(batch);
      for (const listener of listeners.get(kindOf(batch.zone)) ?? []) listener(batch, state);
    },
    onFailure: (failure: HostFailure) => {
      if (failure.kind === 'log') lastFailure = failure.message;
      logger.error({ topic: name, ...failure }, 'zone host failure');
    },
    onRecovered: (zone, steps) => logger.debug({ zone, steps }, 'zone recovered'),
  };
  const host = new ZoneHost(options);
  for (const kind of kinds) host.register(kind);
  await host.flushed();
  const stopSnapshots = scheduleSnapshots(host, systemClock);
  return {
    name,
    folder,
    place,
    stores,
    log: stores.log,
    host,
    kinds,
    get lastFailure() {
      return host.isRecording ? null : lastFailure;
    },
    takeDecided: () => decided.take(),
    onDecided: (kind, listener) => {
      const ofKind = listeners.get(kind) ?? [];
      listeners.set(kind, [...ofKind, listener]);
    },
    closeHost: () => {
      stopSnapshots();
      return host.close();
    },
    close: () => stores.close(),
  };
}
