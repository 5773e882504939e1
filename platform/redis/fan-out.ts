import type { GapNotice } from '@millrace/contracts';
import type { Hub } from '@millrace/streams';
import { announcements } from './announcements.ts';
import type { Redis } from './connect.ts';

/** How often a server says how many events it has sent, so that others notice the last ones missing, too. */
const COUNT_EVERY_MS = 1_000;
/** A server that says nothing for so many counts may have sent something that was lost with it. */
const SILENT_COUNTS = 5;
/** Servers that are gone for so many counts are forgotten. */
const FORGOTTEN_COUNTS = 3_600;

interface Told {
  /** Which run of which server. */
  readonly sender: string;
  /** How many events it has sent, this one included. */
  readonly count: number;
  /** Missing where only the count is told. */
  readonly event?: { readonly channel: string; readonly event: string; readonly data: unknown };
}

/** Tells whoever watches a lossless channel, at whichever server of the installation. */
export interface FanOut {
  publish(channel: string, event: string, data: unknown): void;
  close(): void;
}

/**
 * Publishes to this server’s hub and, through Redis, to the others’. Positions are each hub’s own: who goes on at another server is told so by a `gap`.
 * What Redis loses is told by a `gap`, too: each server numbers what it sends, and a number that is missing, or a server that falls silent, means that
 * something may be missing on any channel that servers tell each other about.
 * @param redis null where there is one server
 * @param prefixes what the names of the channels begin with that are published here
 */
export function fanOut(hub: Hub, redis: Redis | null, prefixes: readonly string[], countEveryMs = COUNT_EVERY_MS): FanOut {
  const publish = (channel: string, event: string, data: unknown) => {
    if (hub.isWanted(channel)) hub.publish(channel, 'lossless', event, '', data);
  };
  const publishGap = () => {
    const at = hub.position;
    for (const prefix of prefixes)
      for (const channel of hub.wanted(prefix))
        hub.publish(channel, 'lossless', 'gap', '', { channel, from: at, to: at, reason: 'lost' } satisfies GapNotice);
  };
  if (!redis) return { publish, close: () => {} };

  const senders = new Map<string, { count: number; silentFor: number }>();
  const heard = ({ sender, count, event }: Told) => {
    const expected = (senders.get(sender)?.count ?? 0) + (event ? 1 : 0);
    senders.set(sender, { count, silentFor: 0 });
    if (count > expected) publishGap();
    if (event) publish(event.channel, event.event, event.data);
  };
  // connectRedis reports that Redis is unavailable; the readers elsewhere are told of the gap.
  const others = announcements<Told>(redis, 'streams', heard, () => {});
  const self = crypto.randomUUID();
  let count = 0;
  const counting = setInterval(() => {
    others.publish({ sender: self, count });
    for (const [sender, state] of senders) {
      state.silentFor++;
      if (state.silentFor === SILENT_COUNTS) publishGap();
      if (state.silentFor >= FORGOTTEN_COUNTS) senders.delete(sender);
    }
  }, countEveryMs);
  return {
    publish: (channel, event, data) => {
      publish(channel, event, data);
      count++;
      others.publish({ sender: self, count, event: { channel, event, data } });
    },
    close: () => {
      clearInterval(counting);
      others.close();
    },
  };
}
