import { backoffMs } from '../rest/backoff.ts';
import { MillraceError } from '../rest/error.ts';
import type { Connection, StreamMessage, StreamStatus, Told } from './message.ts';

const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 15_000;
const OWN_CHANNEL = 'user';

export interface WatchOptions {
  /** Told when the connection is there, gone, or back. */
  readonly onStatus?: (status: StreamStatus) => void;
  /** Told when the server will not have these channels: there is none of that name, or it is not for you. The client’s own when left out. */
  readonly onRefused?: (error: MillraceError) => void;
  /** Where to go on, by channel: positions of earlier messages. */
  readonly from?: Readonly<Record<string, string>>;
}

interface Watcher {
  readonly id: number;
  readonly channels: readonly string[];
  readonly positions: Map<string, string>;
  readonly listener: (message: StreamMessage) => void;
  readonly tell: (status: StreamStatus) => void;
  readonly onRefused: (error: MillraceError) => void;
}

/**
 * Everything that a client watches. The connection is there while someone watches, comes back by itself with growing waits, and goes on where
 * it was: nothing is missed or told twice, or a `gap` says what was.
 */
export class Streams {
  readonly #open: (told: Told) => Connection;
  readonly #onRefused: (error: MillraceError) => void;
  readonly #watchers = new Map<number, Watcher>();
  #connection: Connection | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  #count = 0;

  constructor(open: (told: Told) => Connection, onRefused: (error: MillraceError) => void) {
    this.#open = open;
    this.#onRefused = onRefused;
  }

  /** Watches channels until what this returns is called. Conflated ones begin with how things stand. */
  watch<const Channel extends string>(
    channels: readonly Channel[],
    listener: (message: StreamMessage<Channel>) => void,
    { onStatus = () => {}, onRefused = this.#onRefused, from = {} }: WatchOptions = {},
  ): () => void {
    const watcher: Watcher = {
      id: ++this.#count,
      channels,
      positions: new Map(Object.entries(from)),
      listener: listener as (message: StreamMessage) => void,
      tell: changesOf(onStatus),
      onRefused,
    };
    this.#watchers.set(watcher.id, watcher);
    watcher.tell('connecting');
    if (this.#connection) this.#ask(watcher);
    else if (this.#retry === undefined) this.#connect();
    return () => {
      if (!this.#watchers.delete(watcher.id)) return;
      watcher.tell('closed');
      if (this.#watchers.size === 0) this.#stop();
      else
        this.#connection?.remove(
          watcher.id,
          channels.filter((channel) => !this.#isWatched(channel)),
        );
    };
  }

  /** Ends everything that is watched. */
  close(): void {
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    this.#stop();
    for (const { tell } of watchers) tell('closed');
  }

  #stop(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#attempts = 0;
    const connection = this.#connection;
    this.#connection = null;
    connection?.close();
  }

  #connect(): void {
    this.#retry = undefined;
    const connection: Connection = this.#open({
      message: (channel, event, data, position, only) => {
        if (this.#connection !== connection) return;
        for (const watcher of this.#watchers.values())
          if (only === undefined || only === watcher.id) deliver(watcher, channel, event, data, position);
      },
      taken: (id, position) => {
        this.#attempts = 0;
        const watcher = this.#watchers.get(id);
        if (!watcher || this.#connection !== connection) return;
        // A channel on which nothing happens before a break is gone on with from here.
        for (const channel of watcher.channels) if (!watcher.positions.has(channel)) watcher.positions.set(channel, position);
        watcher.tell('live');
      },
      refused: (id, { status = 0, ...error }) => {
        if (this.#connection === connection) this.#watchers.get(id)?.onRefused(new MillraceError({ status, ...error }));
      },
      closed: () => {
        if (this.#connection !== connection) return;
        this.#connection = null;
        connection.close();
        this.#retry = setTimeout(() => this.#connect(), backoffMs(this.#attempts++, RETRY_FIRST_MS, RETRY_MOST_MS));
        for (const { tell } of this.#watchers.values()) tell('waiting');
      },
    });
    this.#connection = connection;
    // Who has a place to go on from asks first: where two watch the same, the first one’s counts.
    const watchers = [...this.#watchers.values()].sort((one, other) => other.positions.size - one.positions.size);
    for (const watcher of watchers) this.#ask(watcher);
  }

  #ask({ id, channels, positions }: Watcher): void {
    this.#connection?.add({ id, channels, from: (channel) => positions.get(channel) });
  }

  #isWatched(channel: string): boolean {
    for (const { channels } of this.#watchers.values()) if (channels.includes(channel)) return true;
    return false;
  }
}

/** Told of each change once. */
function changesOf(onStatus: (status: StreamStatus) => void): (status: StreamStatus) => void {
  let last: StreamStatus | null = null;
  return (status) => {
    if (status === last) return;
    last = status;
    onStatus(status);
  };
}

function deliver({ channels, positions, listener }: Watcher, channel: string, event: string, data: unknown, position: string): void {
  // `user` is told of as users:{user}: only one’s own can be watched.
  const name = channels.includes(channel) ? channel : channel.startsWith('users:') && channels.includes(OWN_CHANNEL) ? OWN_CHANNEL : null;
  if (name === null) return;
  positions.set(name, position);
  listener({ channel: name, event, data, position } as StreamMessage);
}
