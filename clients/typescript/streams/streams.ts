import type { ChannelName, GapNotice } from '@millrace/contracts';
import { callListener } from '../call-listener.ts';
import { backoffMs } from '../rest/backoff.ts';
import { isFinal, type MillraceError, unreachable } from '../rest/error.ts';
import {
  type AnyMessage,
  type Connection,
  type ConnectionEvents,
  channelKeyOf,
  OWN_CHANNEL,
  type StreamMessage,
  type StreamStatus,
} from './message.ts';
import { endOf, isPartial, isUpTo, newerOf, partialOf } from './position.ts';

const RETRY_FIRST_MS = 250;

export interface WatchOptions {
  /** Called when the status of the connection changes; with `waiting` also the reason. */
  readonly onStatus?: (status: StreamStatus, reason: MillraceError | null) => void;
  /**
   * Receives the error that prevents live delivery. Refused credentials or channels end the subscription (`closed`). A server that cannot be reached within
   * `timeoutMs` at first (UNREACHABLE) is reported once, and retried until the subscription ends. Default: `onError` of the client.
   */
  readonly onError?: (error: MillraceError) => void;
  /** Positions to resume from, by channel: `position` of earlier messages. */
  readonly from?: Readonly<Record<string, string>>;
  /** Ends the subscription when it is aborted. */
  readonly signal?: AbortSignal;
}

interface Watcher {
  readonly id: number;
  readonly channels: readonly string[];
  readonly positions: Map<string, string>;
  readonly listener: (message: AnyMessage) => void;
  readonly notify: (status: StreamStatus, reason?: MillraceError) => void;
  readonly onError: (error: MillraceError) => void;
  /** Clears the timer and the listener of the subscription. */
  readonly dispose: () => void;
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
  /** Subscriptions that were sent on the connection. */
  readonly #onConnection = new Set<Watcher>();
  /** Those of them whose channels the server begins again. Until then the connection has only later messages. */
  readonly #beginning = new Set<Watcher>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  #heardAt: number | null = null;
  #count = 0;
  /** Cause of the lost connection. */
  #disconnectCause: MillraceError | undefined;
  /** The last credential was refused, and no subscription has been accepted since. */
  #wasRenewed = false;

  /**
   * @param firstMs time until a new subscription that is not live reports an error, ms
   * @param retryMsMax maximum delay between two attempts to connect, ms
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

  /** Subscribes to channels. Returns a function that unsubscribes. Conflated channels begin with the current state. */
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
    const firstTimer = setTimeout(
      () => onError(this.#disconnectCause ?? unreachable(`No connection within ${this.#firstMs} ms.`)),
      this.#firstMs,
    );
    const watcher: Watcher = {
      id,
      channels,
      positions: new Map(Object.entries(from)),
      listener: listener as (message: AnyMessage) => void,
      notify: (status, reason) => {
        if (status === 'live') clearTimeout(firstTimer);
        notify(status, reason);
      },
      onError,
      dispose: () => {
        clearTimeout(firstTimer);
        signal?.removeEventListener('abort', stop);
      },
    };
    this.#watchers.set(id, watcher);
    watcher.notify('connecting');
    if (this.#connection) this.#subscribe(watcher);
    else if (this.#retry === undefined) this.#connect();
    return stop;
  }

  /** Time of the last message from the server, epoch ms; null before the first. */
  get heardAt(): number | null {
    return this.#heardAt;
  }

  /** Makes a scheduled retry now. Has no effect while connected or without subscriptions. */
  reconnect(): void {
    if (this.#retry === undefined) return;
    clearTimeout(this.#retry);
    this.#attempts = 0;
    this.#connect();
  }

  /** Ends all subscriptions. */
  close(): void {
    for (const id of [...this.#watchers.keys()]) this.#end(id);
  }

  #end(id: number, error?: MillraceError): void {
    const watcher = this.#watchers.get(id);
    if (!watcher) return;
    this.#watchers.delete(id);
    this.#onConnection.delete(watcher);
    this.#beginning.delete(watcher);
    watcher.dispose();
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
    this.#disconnectCause = undefined;
    this.#wasRenewed = false;
    const connection = this.#connection;
    this.#connection = null;
    connection?.close();
  }

  #connect(): void {
    this.#retry = undefined;
    const connection: Connection = this.#open({
      received: () => {
        if (this.#connection === connection) this.#heardAt = Date.now();
      },
      message: (channel, event, data, position, only) => {
        if (this.#connection !== connection) return;
        // A listener before this one may have ended the subscription.
        for (const watcher of [...this.#watchers.values()])
          if (this.#watchers.has(watcher.id) && (only === undefined ? this.#goesOn(watcher) : only === watcher.id))
            deliver(watcher, { channel, event, data, position }, only === undefined);
      },
      covered: (id, channels, position) => {
        if (this.#connection !== connection) return;
        const positions = this.#watchers.get(id)?.positions;
        for (const channel of channels) positions?.set(channel, newerOf(position, positions.get(channel)));
      },
      subscribed: (id, position) => {
        this.#attempts = 0;
        this.#disconnectCause = undefined;
        this.#wasRenewed = false;
        const watcher = this.#watchers.get(id);
        if (!watcher || this.#connection !== connection) return;
        this.#beginning.delete(watcher);
        // A channel without messages before the next disconnect resumes from here.
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
        const canRenew = isRenewable && !this.#wasRenewed;
        this.#wasRenewed = isRenewable;
        if (isFinal(reason) && !canRenew) {
          // A copy of the ids: callbacks may add subscriptions, which need a new connection.
          for (const id of [...this.#watchers.keys()]) this.#end(id, reason);
          return;
        }
        this.#disconnectCause = reason;
        this.#retry = setTimeout(() => this.#connect(), backoffMs(this.#attempts++, RETRY_FIRST_MS, this.#retryMsMax));
        for (const { notify } of [...this.#watchers.values()]) notify('waiting', reason);
      },
    });
    this.#connection = connection;
    this.#onConnection.clear();
    this.#beginning.clear();
    // Subscriptions with positions go first: for a shared channel the server uses the first position.
    const watchers = [...this.#watchers.values()].sort((one, other) => other.positions.size - one.positions.size);
    for (const watcher of watchers) this.#subscribe(watcher);
  }

  #subscribe(watcher: Watcher): void {
    const { id, channels, positions } = watcher;
    this.#connection?.add({
      id,
      channels,
      from: (channel) => positions.get(channel),
      beginsAgain: () => this.#channelsToBegin(watcher).length > 0,
      sent: () => {
        const again = this.#channelsToBegin(watcher);
        this.#onConnection.add(watcher);
        if (again.length > 0) this.#beginning.add(watcher);
        return again;
      },
    });
  }

  /** Channels of a subscription that the connection has, but not from its position on. */
  #channelsToBegin({ channels, positions }: Watcher): readonly string[] {
    const shared = channels.filter((channel) => positions.has(channel) && this.#isShared(channel));
    // Until they begin again, the messages of all of them are later ones.
    return shared.some((channel) => this.#isLacking(channel, positions.get(channel) as string)) ? shared : [];
  }

  /** Whether the messages of the connection follow those of a subscription: it was sent, and the server has begun its channels. */
  #goesOn(watcher: Watcher): boolean {
    return this.#onConnection.has(watcher) && !this.#beginning.has(watcher);
  }

  #isShared(channel: string): boolean {
    return [...this.#onConnection].some((watcher) => nameIn(watcher, channel) !== undefined);
  }

  /** Whether the connection has a channel of other subscriptions, but not from this position on. */
  #isLacking(channel: string, position: string): boolean {
    return ![...this.#onConnection].some((other) => {
      const name = nameIn(other, channel);
      const known = name !== undefined && !this.#beginning.has(other) ? other.positions.get(name) : undefined;
      return known === position || (known !== undefined && !isPartial(position) && isUpTo(known, position));
    });
  }

  #isWatched(channel: string): boolean {
    for (const watcher of this.#watchers.values()) if (nameIn(watcher, channel) !== undefined) return true;
    return false;
  }
}

/** The name of a subscription for a channel: its own name or an alias. Undefined if it has not subscribed to the channel. */
function nameIn({ channels }: Pick<Watcher, 'channels'>, channel: string): string | undefined {
  return channels.includes(channel) ? channel : channels.find((name) => channelKeyOf(name) === channelKeyOf(channel));
}

/** Calls `onStatus` once per change of status. `closed` is the last one, also when a callback ends other subscriptions while they are notified. */
function changesOf(onStatus: NonNullable<WatchOptions['onStatus']>): Watcher['notify'] {
  let last: StreamStatus | null = null;
  return (status, reason) => {
    if (status === last || last === 'closed') return;
    last = status;
    callListener(() => onStatus(status, reason ?? null));
  };
}

/** @param isShared whether other subscriptions have the connection, too: then the server may have begun a channel at another position */
function deliver(watcher: Watcher, { channel, event, data, position }: AnyMessage, isShared: boolean): void {
  const { channels, positions, listener } = watcher;
  // Messages of `user` arrive on users:{user}; a client can subscribe only to that of its own user.
  const name = channels.includes(channel)
    ? channel
    : channelKeyOf(channel) === OWN_CHANNEL && channels.includes(OWN_CHANNEL)
      ? OWN_CHANNEL
      : null;
  if (name === null) return;
  const known = positions.get(name);
  if (isShared ? !goesOn(positions, name, event, data, position) : !isNew(known, event, data, position)) return;
  if (!isShared) positions.set(name, newerOf(position, known));
  // A gap has the position at which the server began the channel. This subscription may have events after it.
  if (event === 'gap' && known !== undefined && isUpTo(position, known))
    callListener(() => listener({ channel: name, event, data: { ...(data as GapNotice), from: known }, position: known }));
  else callListener(() => listener({ channel: name, event, data, position }));
}

/** Goes on to the position of a message. @returns false when the subscription begins after it, or received it before: another one of the channel begins earlier */
function goesOn(positions: Watcher['positions'], name: string, event: string, data: unknown, position: string): boolean {
  const known = positions.get(name);
  // The server has not accepted it yet. The current state follows, even when nothing has happened since this message.
  if (known === undefined || !isNew(known, event, data, position)) return false;
  // The current state or the remaining history of the channel follows a gap.
  positions.set(name, event === 'gap' ? partialOf(endOf(data as GapNotice, position)) : position);
  return true;
}

/** Whether a message has more than what is known. A gap from the position of the reader always has. */
function isNew(known: string | undefined, event: string, data: unknown, position: string): boolean {
  const isGap = event === 'gap';
  const end = isGap ? endOf(data as GapNotice, position) : position;
  if (known === undefined || !isUpTo(end, known) || (isGap && position === known)) return true;
  // More of the current state follows at the same position. Earlier messages are those of a subscription that begins earlier.
  return isPartial(known) && isUpTo(known, end);
}
