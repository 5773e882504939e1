import type { ChannelName } from '@millrace/contracts';
import { backoffMs } from '../rest/backoff.ts';
import { isFinal, type MillraceError, unreachable } from '../rest/error.ts';
import type { AnyMessage, Connection, ConnectionEvents, StreamMessage, StreamStatus } from './message.ts';

const RETRY_FIRST_MS = 250;
const OWN_CHANNEL = 'user';

export interface WatchOptions {
  /** Called when the status of the connection changes; with `waiting` also the reason. */
  readonly onStatus?: (status: StreamStatus, reason: MillraceError | null) => void;
  /**
   * Called with the error that prevents live delivery. That the server refuses the credentials or the channels ends the watching (`closed`). That it could not be
   * reached within the client’s `timeoutMs` at first (UNREACHABLE) is told once, and it is tried again until it is stopped. The client’s own when left out.
   */
  readonly onError?: (error: MillraceError) => void;
  /** Where to go on, by channel: positions of earlier messages. */
  readonly from?: Readonly<Record<string, string>>;
  /** Ends the watching when it is aborted. */
  readonly signal?: AbortSignal;
}

interface Watcher {
  readonly id: number;
  readonly channels: readonly string[];
  readonly positions: Map<string, string>;
  readonly listener: (message: AnyMessage) => void;
  readonly notify: (status: StreamStatus, reason?: MillraceError) => void;
  readonly onError: (error: MillraceError) => void;
  /** Removes what the subscription holds. */
  readonly forget: () => void;
}

/**
 * All subscriptions of a client. The connection is open while there is a subscription, reconnects with growing delays, and resumes where
 * it stopped: no message is lost or repeated without a `gap` message.
 */
export class Streams {
  readonly #open: (events: ConnectionEvents) => Connection;
  readonly #onError: (error: MillraceError) => void;
  readonly #firstMs: number;
  readonly #retryMsMax: number;
  readonly #watchers = new Map<number, Watcher>();
  #connection: Connection | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  #heardAt: number | null = null;
  #count = 0;
  /** Why there is no connection. */
  #lost: MillraceError | undefined;
  /** The last credential was refused, and the server has not taken anything since. */
  #wasRenewed = false;

  /**
   * @param firstMs how long a watcher waits to be live for the first time before it is told that the server cannot be reached
   * @param retryMsMax longest wait between two attempts to connect
   */
  constructor(
    open: (events: ConnectionEvents) => Connection,
    onError: (error: MillraceError) => void,
    firstMs: number,
    retryMsMax: number,
  ) {
    this.#open = open;
    this.#onError = onError;
    this.#firstMs = firstMs;
    this.#retryMsMax = retryMsMax;
  }

  /** Watches channels until what this returns is called. Conflated ones begin with how things stand. */
  watch<const Channel extends ChannelName>(
    channels: readonly Channel[],
    listener: (message: StreamMessage<Channel>) => void,
    { onStatus = () => {}, onError = this.#onError, from = {}, signal }: WatchOptions = {},
  ): () => void {
    const id = ++this.#count;
    const stop = () => this.#end(id);
    const notify = changesOf(onStatus);
    if (signal?.aborted) {
      notify('closed');
      return stop;
    }
    signal?.addEventListener('abort', stop, { once: true });
    const late = setTimeout(() => onError(this.#lost ?? unreachable(`There was no connection within ${this.#firstMs} ms.`)), this.#firstMs);
    const watcher: Watcher = {
      id,
      channels,
      positions: new Map(Object.entries(from)),
      listener: listener as (message: AnyMessage) => void,
      notify: (status, reason) => {
        if (status === 'live') clearTimeout(late);
        notify(status, reason);
      },
      onError,
      forget: () => {
        clearTimeout(late);
        signal?.removeEventListener('abort', stop);
      },
    };
    this.#watchers.set(id, watcher);
    watcher.notify('connecting');
    if (this.#connection) this.#ask(watcher);
    else if (this.#retry === undefined) this.#connect();
    return stop;
  }

  /** When the server was last heard of, ms since the epoch; null before that. */
  get heardAt(): number | null {
    return this.#heardAt;
  }

  /** Connects at once where the next attempt would come later; nothing where there is a connection, or nothing is watched. */
  reconnect(): void {
    if (this.#retry === undefined) return;
    clearTimeout(this.#retry);
    this.#attempts = 0;
    this.#connect();
  }

  /** Ends everything that is watched. */
  close(): void {
    for (const id of [...this.#watchers.keys()]) this.#end(id);
  }

  #end(id: number, error?: MillraceError): void {
    const watcher = this.#watchers.get(id);
    if (!watcher) return;
    this.#watchers.delete(id);
    watcher.forget();
    if (this.#watchers.size === 0) this.#stop();
    else
      this.#connection?.remove(
        id,
        watcher.channels.filter((channel) => !this.#isWatched(channel)),
      );
    watcher.notify('closed', error);
    if (error) watcher.onError(error);
  }

  #stop(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#attempts = 0;
    this.#lost = undefined;
    this.#wasRenewed = false;
    const connection = this.#connection;
    this.#connection = null;
    connection?.close();
  }

  #connect(): void {
    this.#retry = undefined;
    const connection: Connection = this.#open({
      heard: () => {
        if (this.#connection === connection) this.#heardAt = Date.now();
      },
      message: (channel, event, data, position, only) => {
        if (this.#connection !== connection) return;
        for (const watcher of [...this.#watchers.values()])
          if (only === undefined || only === watcher.id) deliver(watcher, channel, event, data, position);
      },
      taken: (id, position) => {
        this.#attempts = 0;
        this.#lost = undefined;
        this.#wasRenewed = false;
        const watcher = this.#watchers.get(id);
        if (!watcher || this.#connection !== connection) return;
        // A channel on which nothing happens before a break is gone on with from here.
        for (const channel of watcher.channels) if (!watcher.positions.has(channel)) watcher.positions.set(channel, position);
        watcher.notify('live');
      },
      refused: (id, error) => {
        if (this.#connection === connection) this.#end(id, error);
      },
      closed: (reason, isRenewable = false) => {
        if (this.#connection !== connection) return;
        this.#connection = null;
        connection.close();
        const hasHope = isRenewable && !this.#wasRenewed;
        this.#wasRenewed = isRenewable;
        if (isFinal(reason) && !hasHope) {
          // Whoever begins to watch from here on is asked for anew.
          for (const id of [...this.#watchers.keys()]) this.#end(id, reason);
          return;
        }
        this.#lost = reason;
        this.#retry = setTimeout(() => this.#connect(), backoffMs(this.#attempts++, RETRY_FIRST_MS, this.#retryMsMax));
        for (const { notify } of [...this.#watchers.values()]) notify('waiting', reason);
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

/** Calls `onStatus` once per change of status. */
function changesOf(onStatus: NonNullable<WatchOptions['onStatus']>): Watcher['notify'] {
  let last: StreamStatus | null = null;
  return (status, reason) => {
    if (status === last) return;
    last = status;
    onStatus(status, reason ?? null);
  };
}

function deliver({ channels, positions, listener }: Watcher, channel: string, event: string, data: unknown, position: string): void {
  // `user` is told of as users:{user}: only one’s own can be watched.
  const name = channels.includes(channel) ? channel : channel.startsWith('users:') && channels.includes(OWN_CHANNEL) ? OWN_CHANNEL : null;
  if (name === null) return;
  positions.set(name, position);
  listener({ channel: name, event, data, position });
}
