import type { ChannelName, EventsOf, GapNotice } from '@millrace/contracts';
import type { MillraceError } from '../rest/error.ts';

/** The range of missed events of a channel. `slow-reader`: the buffer of `events()` was full, and the oldest messages were dropped. */
export interface Gap extends Omit<GapNotice, 'reason'> {
  readonly reason: GapNotice['reason'] | 'slow-reader';
}

/** A message of a channel. `event` determines the type of `data`; `gap` reports missed events. */
export type StreamMessage<Channel extends ChannelName = ChannelName> = Channel extends ChannelName
  ?
      | { readonly channel: Channel; readonly event: 'gap'; readonly data: Gap; readonly position: string }
      | EventMessage<Channel, EventsOf<Channel>>
  : never;

type EventMessage<Channel, Events> = {
  [Event in keyof Events]: { readonly channel: Channel; readonly event: Event; readonly data: Events[Event]; readonly position: string };
}[keyof Events];

/** A message whose channel and event are not known at compile time. */
export interface AnyMessage {
  readonly channel: string;
  readonly event: string;
  readonly data: unknown;
  readonly position: string;
}

/** `live`: connected, all messages are delivered. `waiting`: disconnected, a retry is scheduled. `closed`: the subscription has ended. */
export type StreamStatus = 'connecting' | 'live' | 'waiting' | 'closed';

/** Callbacks of a connection. */
export interface ConnectionEvents {
  /** The server sent something, including replies to pings. */
  received(): void;
  /** @param only id of the only subscription that receives the message; default: all subscriptions of the channel */
  message(channel: string, event: string, data: unknown, position: string, only?: number): void;
  /** A subscription has all events of these channels up to a position. Called after the message at that position. */
  covered(id: number, channels: readonly string[], position: string): void;
  /** The server accepted the channels of a subscription. @param position current position of the server */
  subscribed(id: number, position: string): void;
  /** The server refused the channels of a subscription. */
  refused(id: number, error: MillraceError): void;
  /** The connection was lost or not established. @param isRenewable true if the credential was refused and the next one will be a new one */
  closed(reason: MillraceError, isRenewable?: boolean): void;
}

/** A subscription: its channels, and the position from which to resume each. */
export interface Subscription {
  readonly id: number;
  readonly channels: readonly string[];
  from(channel: string): string | undefined;
  /** Whether the server must begin some of its channels again: see `sent`. */
  beginsAgain(): boolean;
  /** Call it when the subscription is sent on a shared connection. @returns its channels that the server must begin again: others have them from later positions */
  sent(): readonly string[];
}

export interface Connection {
  add(subscription: Subscription): void;
  /** Removes a subscription. @param unused channels without any other subscription */
  remove(id: number, unused: readonly string[]): void;
  close(): void;
}

/** Alias for the channel of the client’s own user. */
export const OWN_CHANNEL = 'user';

/** Identifies the channel of a name. A client can subscribe only to the channel of its own user: all names of such a channel mean the same one. */
export const channelKeyOf = (name: string) => (name.startsWith('users:') ? OWN_CHANNEL : name);

/** Silence after which a connection counts as lost, ms. Servers send a heartbeat every 25 s. */
export const SILENT_MS_MAX = 60_000;

/** True if a close reason means that the credential is no longer valid: the next connection needs a new one. */
export const needsNewCredential = (reason: string | undefined) => /^(not-any-more|credential-expired)/.test(reason ?? '');
