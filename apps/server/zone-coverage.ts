import {
  type Clock,
  kindOf,
  messageOf,
  recover,
  type Snapshot,
  type SnapshotStore,
  within,
  type ZoneAddress,
  type ZoneHost,
} from '@millrace/kernel';
import type { Logger } from '@millrace/telemetry';
import type { Stores, Topic } from '@millrace/topics';

/** Time limit of one operation of a snapshot store, ms. A store that takes longer covers nothing in this run of retention. */
const STORE_MS_MAX = 5_000;

/** What a run of retention needs beside its topic. */
export interface CoverageOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal;
}

/** The parts of a topic that decide what its snapshots cover. */
type CoveredTopic = Pick<Topic, 'name' | 'kinds'> & {
  readonly log: Pick<Topic['log'], 'read'>;
  readonly stores: Pick<Stores, 'hot' | 'cold'>;
  readonly host: Pick<ZoneHost, 'status'> | null;
};

/** Up to which event of each zone the cold snapshots of a topic cover the log, for one run of retention. Each zone is read once. */
export class ZoneCoverage {
  readonly #topic: CoveredTopic;
  readonly #options: CoverageOptions;
  readonly #cold: SnapshotStore;
  /** Newest covered seq by zone. Null when the snapshots of the zone cannot be read. */
  readonly #seqs = new Map<ZoneAddress, number | null>();
  readonly #missing = new Set<ZoneAddress>();
  /** Zones whose snapshot was saved, or could not be, in this run. */
  readonly #tried = new Set<ZoneAddress>();

  constructor(topic: CoveredTopic, options: CoverageOptions) {
    this.#topic = topic;
    this.#options = options;
    this.#cold = this.#bounded(topic.stores.cold, 'cold');
  }

  /** Whether a cold snapshot has all events of a zone up to `seq`. Never rejects. */
  async covers(zone: ZoneAddress, seq: number): Promise<boolean> {
    if (this.#options.stopping.aborted) return false;
    let newest = this.#seqs.get(zone);
    if (newest === undefined) {
      newest = await this.#newestOf(zone).catch((error) => this.#warn(zone, 'its snapshots cannot be read', error));
      this.#seqs.set(zone, newest);
    }
    if (newest !== null && newest < seq) this.#missing.add(zone);
    return newest !== null && newest >= seq;
  }

  /** Saves snapshots of the zones whose events were not covered, once per zone. @returns whether any is saved */
  async saveMissing(): Promise<boolean> {
    const missing = [...this.#missing].filter((zone) => !this.#tried.has(zone));
    this.#missing.clear();
    let isSaved = false;
    // Without a host, the processes of the zones save their snapshots.
    for (const zone of this.#topic.host ? missing : []) {
      if (this.#options.stopping.aborted) return false;
      this.#tried.add(zone);
      const seq = await this.#save(zone).catch((error) => this.#warn(zone, 'no snapshot of it can be saved', error));
      if (seq === null) continue;
      this.#seqs.set(zone, seq);
      isSaved = true;
    }
    return isSaved;
  }

  /** Seq of the newest snapshot that can be used. */
  async #newestOf(zone: ZoneAddress): Promise<number> {
    for (const label of await this.#cold.list(zone)) {
      const snapshot = await this.#cold.load(label).catch(() => null);
      if (snapshot) return label.seq;
    }
    return 0;
  }

  /**
   * Saves a snapshot of a zone from its record, as after the process was killed. It does not open the zone: another part may open and use it at any time.
   * @returns its seq
   */
  async #save(zone: ZoneAddress): Promise<number> {
    const { kinds, stores, host } = this.#topic;
    const { clock } = this.#options;
    const definition = kinds.find(({ kind }) => kind === kindOf(zone));
    if (!definition) throw new TypeError(`Zone kind "${kindOf(zone)}" is not registered. Enable the module that has it.`);
    const hot = this.#bounded(stores.hot, 'hot');
    const { replay, position, epoch } = await recover(definition, zone, { log: this.#log, hot, cold: this.#cold, clock });
    const { version } = definition;
    const { seq } = replay;
    const snapshot: Snapshot = { ...replay.checkpoint(), zone, version, epoch, seq, time: Math.max(clock.now(), replay.time), position };
    await this.#cold.save(snapshot);
    // A recovery waits only briefly for the cold store while the hot one has a snapshot, which would be older. An open zone saves its own.
    if (host?.status(zone) === 'stopped') await hot.save(snapshot);
    return seq;
  }

  /** The log, whose reads end when the server stops. */
  get #log(): Pick<Topic['log'], 'read'> {
    const { log } = this.#topic;
    const { stopping } = this.#options;
    return {
      read: async function* (zone, afterSeq, from) {
        for await (const batch of log.read(zone, afterSeq, from)) {
          stopping.throwIfAborted();
          yield batch;
        }
      },
    };
  }

  #bounded(store: SnapshotStore, kind: 'hot' | 'cold'): SnapshotStore {
    const { clock, stopping } = this.#options;
    const bounded = <T>(work: Promise<T>) => unlessStopped(stopping, within(clock, STORE_MS_MAX, `the ${kind} store`, work));
    return {
      save: (snapshot) => bounded(store.save(snapshot)),
      list: (zone) => bounded(store.list(zone)),
      load: (label) => bounded(store.load(label)),
    };
  }

  #warn(zone: ZoneAddress, what: string, error: unknown): null {
    const { logger, stopping } = this.#options;
    if (!stopping.aborted)
      logger.warn({ topic: this.#topic.name, zone, reason: messageOf(error) }, `events of a zone are kept longer: ${what}`);
    return null;
  }
}

/** Settles as `work` does, or rejects when the server stops. Does not cancel `work`. */
function unlessStopped<T>(stopping: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(stopping.reason);
    stopping.addEventListener('abort', stop, { once: true });
    if (stopping.aborted) stop();
    work.finally(() => stopping.removeEventListener('abort', stop)).then(resolve, reject);
  });
}
