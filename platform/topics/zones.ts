import type { Settings } from '@millrace/config';
import {
  type CommandMeta,
  type EventBatch,
  keyOf,
  type Reply,
  type SubmitOptions,
  type ZoneAddress,
  type ZoneDefinition,
  type ZoneHost,
  zoneAddress,
} from '@millrace/kernel';
import type { Topic } from './topic.ts';

/** A zone kind with its topic. The type parameters make `Zones` of this kind typed. */
export interface ZoneKind<State, Command> {
  readonly kind: string;
  readonly topic: string;
  // biome-ignore lint/suspicious/noExplicitAny: the event type matters only within the definition, between `decide` and `evolve`.
  readonly definition: (settings: Settings) => ZoneDefinition<State, Command, any>;
}

/** Declares a zone kind. @param definition may depend on settings */
export function zoneKind<State, Command, Event extends { type: string }>(
  kind: string,
  topic: string,
  definition: (settings: Settings) => ZoneDefinition<State, Command, Event>,
): ZoneKind<State, Command> {
  return { kind, topic, definition };
}

/** State of a zone, read from memory. Not a copy: do not change or keep it. */
export interface ZoneView<State> {
  readonly state: Readonly<State>;
  readonly seq: number;
  readonly epoch: number;
}

/** The zones of one kind in this process, by key. */
export class Zones<State, Command> {
  readonly #kind: string;
  readonly #topic: Pick<Topic, 'onDecided'>;
  readonly #host: ZoneHost;
  /** Cache of addresses by key: every command needs one, and the busiest kinds have few keys. */
  readonly #addresses = new Map<string, ZoneAddress>();

  /** @throws TypeError when the zones of the topic are in other processes */
  constructor({ kind }: Pick<ZoneKind<State, Command>, 'kind'>, topic: Pick<Topic, 'name' | 'host' | 'onDecided'>) {
    if (!topic.host) throw new TypeError(`The zones of topic "${topic.name}" are in other processes. Read them from a projection.`);
    this.#kind = kind;
    this.#topic = topic;
    this.#host = topic.host;
  }

  /** Opens a zone; resolves when it is active. Commands sent meanwhile wait. @throws Error when it cannot be recovered */
  open(key: string): Promise<void> {
    return this.#host.open(this.#addressOf(key));
  }

  /** Current view of a sound zone, else undefined. */
  view(key: string): ZoneView<State> | undefined {
    return this.#host.view(this.#addressOf(key)) as ZoneView<State> | undefined;
  }

  /** Sends a command and resolves with the reply: after the decision or, with `durable`, when the events are in the log. */
  submit(key: string, command: Command, options?: SubmitOptions): Promise<Reply> {
    return this.#host.submit(this.#addressOf(key), command, options);
  }

  /** Sends a command without a reply. @returns false when the zone does not accept it; the sender should slow down */
  send(key: string, command: Command, meta?: CommandMeta): boolean {
    return this.#host.send(this.#addressOf(key), command, meta ?? null);
  }

  /** Number of commands that wait at a zone. */
  waiting(key: string): number {
    return this.#host.waiting(this.#addressOf(key));
  }

  /** Keys of the open zones of this kind. */
  keys(): string[] {
    return this.#host.addresses(this.#kind).map(keyOf);
  }

  /** Calls `listener` with what the zones of this kind decided in each turn. */
  onDecided(listener: (key: string, batch: EventBatch, state: Readonly<State>) => void): void {
    this.#topic.onDecided(this.#kind, (batch, state) => listener(keyOf(batch.zone), batch, state as State));
  }

  /** Resolves when the log has all events decided so far. */
  recorded(): Promise<void> {
    return this.#host.recorded();
  }

  /** Resolves when all events decided so far are in the log, on the spool, or known to be lost. */
  flushed(): Promise<void> {
    return this.#host.flushed();
  }

  #addressOf(key: string): ZoneAddress {
    let address = this.#addresses.get(key);
    if (address === undefined) {
      address = zoneAddress(this.#kind, key);
      if (this.#addresses.size >= ADDRESSES_MAX) this.#addresses.clear();
      this.#addresses.set(key, address);
    }
    return address;
  }
}

/** Maximum number of cached addresses; they take some MB. */
const ADDRESSES_MAX = 10_000;
