import { isFinal, type MillraceError, unreachable } from '../rest/error.ts';
import { type ConnectionEvents, channelKeyOf, type Subscription } from './message.ts';

/** Maximum number of channels of a request that several subscriptions share. Names and positions of so many fit into the 64 KiB of a request. */
const SHARED_CHANNELS_MAX = 128;

/** A request `subscribe` of one or more subscriptions. */
interface SubscribeRequest {
  readonly subscriptions: Subscription[];
  /** Number of subscriptions when it was sent. Some may have ended since. */
  readonly count: number;
  /** Id of the request before it that ended channels of other subscriptions, so that they begin again; null without. */
  readonly unsubscribeId: number | null;
}

/**
 * The subscriptions of a WebSocket. Those that wait share a request: a server accepts 50 requests per second. One request at a time waits for its reply;
 * when a shared one is refused, its subscriptions are sent in two halves, until the refused one is alone.
 */
export class SubscribeQueue {
  readonly #send: (message: object) => number;
  readonly #events: ConnectionEvents;
  readonly #waiting: Subscription[] = [];
  /** Parts of a refused request, which are sent before the subscriptions that wait. */
  readonly #parts: Subscription[][] = [];
  #pending: { readonly id: number; readonly request: SubscribeRequest } | null = null;
  #isReady = false;
  #isScheduled = false;

  /** @param send sends a request, and returns its id */
  constructor(send: (message: object) => number, events: ConnectionEvents) {
    this.#send = send;
    this.#events = events;
  }

  /** Begins to send: the connection is open and authenticated. */
  begin(): void {
    this.#isReady = true;
    this.#sendNext();
  }

  add(subscription: Subscription): void {
    this.#waiting.push(subscription);
    if (this.#isScheduled) return;
    // After the subscriptions that the application adds at once.
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#sendNext();
    });
  }

  /** @param unused channels without any other subscription */
  remove(id: number, unused: readonly string[]): void {
    const index = this.#waiting.findIndex((subscription) => subscription.id === id);
    if (index >= 0) {
      this.#waiting.splice(index, 1);
      return;
    }
    for (const part of [this.#pending?.request.subscriptions ?? [], ...this.#parts]) {
      const at = part.findIndex((subscription) => subscription.id === id);
      if (at >= 0) part.splice(at, 1);
    }
    for (let at = 0; at < unused.length; at += SHARED_CHANNELS_MAX)
      this.#send({ op: 'unsubscribe', channels: unused.slice(at, at + SHARED_CHANNELS_MAX) });
  }

  /** Takes the reply to a request. @returns the error when the connection cannot go on */
  replied(id: number, position: string, error: MillraceError | undefined): MillraceError | null {
    if (!this.#pending) return null;
    const { subscriptions, count, unsubscribeId } = this.#pending.request;
    if (unsubscribeId === id) return error ?? null;
    if (this.#pending.id !== id) return null;
    this.#pending = null;
    if (error && !isFinal(error)) return error;
    if (error && count > 1) {
      const middle = Math.ceil(subscriptions.length / 2);
      this.#parts.unshift(subscriptions.slice(0, middle), subscriptions.slice(middle));
    } else if (error) {
      for (const { id: refused } of subscriptions) this.#events.refused(refused, error);
      // The other subscriptions of its channels have lost them.
      if (unsubscribeId !== null) return unreachable('A subscription was refused. Channels that it shared begin again.');
    } else for (const subscription of [...subscriptions]) this.#events.subscribed(subscription.id, position);
    this.#sendNext();
    return null;
  }

  #sendNext(): void {
    if (!this.#isReady || this.#pending) return;
    let part = this.#parts.shift();
    while (part && part.length === 0) part = this.#parts.shift();
    const request = part ? { subscriptions: part, count: part.length, unsubscribeId: null } : this.#takeWaiting();
    if (!request) return;
    const positions = new Map<string, string>();
    const channels = new Map<string, string>();
    for (const { channels: names, from } of request.subscriptions)
      for (const name of names) {
        if (channels.has(channelKeyOf(name))) continue;
        channels.set(channelKeyOf(name), name);
        const position = from(name);
        if (position !== undefined) positions.set(name, position);
      }
    const id = this.#send({ op: 'subscribe', channels: [...channels.values()], from: Object.fromEntries(positions) });
    this.#pending = { id, request };
  }

  /** The next subscriptions that can share a request; null when none waits. */
  #takeWaiting(): SubscribeRequest | null {
    const subscriptions: Subscription[] = [];
    const positions = new Map<string, string | undefined>();
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const { channels, from } = next;
      const added = channels.filter((name) => !positions.has(channelKeyOf(name)));
      const isAlone = subscriptions.length === 0;
      if (!isAlone && positions.size + added.length > SHARED_CHANNELS_MAX) break;
      // A shared channel has one position in a request.
      if (!isAlone && channels.some((name) => !added.includes(name) && positions.get(channelKeyOf(name)) !== from(name))) break;
      if (!isAlone && next.beginsAgain()) break;
      this.#waiting.shift();
      const again = next.sent();
      subscriptions.push(next);
      for (const name of added) positions.set(channelKeyOf(name), from(name));
      if (again.length > 0) return { subscriptions, count: 1, unsubscribeId: this.#send({ op: 'unsubscribe', channels: again }) };
    }
    return subscriptions.length === 0 ? null : { subscriptions, count: subscriptions.length, unsubscribeId: null };
  }
}
