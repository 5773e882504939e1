import type { ChannelName, EventsOf, GapNotice } from '@millrace/contracts';
import type { MillraceError } from '../rest/error.ts';

/** Which events of a channel were missed. `slow-reader`: whoever reads `events` left too many waiting, and the oldest were dropped. */
export interface Gap extends Omit<GapNotice, 'reason'> {
  readonly reason: GapNotice['reason'] | 'slow-reader';
}

/** What happens on a channel. `event` names it, and tells what is in `data`; `gap` says that events were missed, and which. */
export type StreamMessage<Channel extends ChannelName = ChannelName> = Channel extends ChannelName
  ?
      | { readonly channel: Channel; readonly event: 'gap'; readonly data: Gap; readonly position: string }
      | EventMessage<Channel, EventsOf<Channel>>
  : never;

type EventMessage<Channel, Events> = {
  [Event in keyof Events]: { readonly channel: Channel; readonly event: Event; readonly data: Events[Event]; readonly position: string };
}[keyof Events];

/** A message of which nothing is known before. */
export interface AnyMessage {
  readonly channel: string;
  readonly event: string;
  readonly data: unknown;
  readonly position: string;
}

/** `live`: connected and told of everything. `waiting`: there is no connection, and it is tried again. `closed`: the watching is over. */
export type StreamStatus = 'connecting' | 'live' | 'waiting' | 'closed';

/** What a connection tells whoever opened it. */
export interface ConnectionEvents {
  /** Something came from the server, an answer to a ping included. */
  heard(): void;
  /** @param only the watcher whose own it is; whoever watches the channel when left out */
  message(channel: string, event: string, data: unknown, position: string, only?: number): void;
  /** The server has taken a watcher’s channels. @param position where the history stood then */
  taken(id: number, position: string): void;
  /** The server will not have a watcher’s channels. */
  refused(id: number, error: MillraceError): void;
  /** The connection is gone, or was never there. @param isRenewable the credential was refused, and the next one will be another */
  closed(reason: MillraceError, isRenewable?: boolean): void;
}

/** What someone watches: its channels, and from where on it wants to be told. */
export interface Wanted {
  readonly id: number;
  readonly channels: readonly string[];
  from(channel: string): string | undefined;
}

export interface Connection {
  add(wanted: Wanted): void;
  /** A watcher is gone. @param left channels that nobody watches any more */
  remove(id: number, left: readonly string[]): void;
  close(): void;
}

/** Connections that say nothing for so long are taken for dead: a server is heard of every 25 s. */
export const SILENT_MS_MAX = 60_000;

/** Reasons for which a server ends what a credential let in: the next connection needs another. */
export const needsNewCredential = (reason: string | undefined) => /^(not-any-more|credential-expired)/.test(reason ?? '');
