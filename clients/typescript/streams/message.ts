import type { ChannelData, GapNotice } from '@millrace/contracts';

/** What happens on a channel. `event` names it; `gap` says that events were missed, and which. */
export type StreamMessage<Channel extends string = string> =
  | { readonly channel: Channel; readonly event: 'gap'; readonly data: GapNotice; readonly position: string }
  | { readonly channel: Channel; readonly event: string & {}; readonly data: ChannelData<Channel>; readonly position: string };

/** `live`: connected and told of everything. `waiting`: the connection is gone and comes back by itself. */
export type StreamStatus = 'connecting' | 'live' | 'waiting' | 'closed';

/** What a connection tells whoever opened it. */
export interface Told {
  /** @param only the watcher whose own it is; whoever watches the channel when left out */
  message(channel: string, event: string, data: unknown, position: string, only?: number): void;
  /** The server has taken a watcher’s channels. @param position where the history stood then */
  taken(id: number, position: string): void;
  /** The server will not have a watcher’s channels. */
  refused(id: number, error: { code: string; detail: string; remedy: string; status?: number }): void;
  closed(reason: string): void;
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
