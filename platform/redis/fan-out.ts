import type { GapNotice } from '@millrace/contracts';
import type { Hub } from '@millrace/streams';
import { announcements } from './announcements.ts';
import type { Redis } from './connect.ts';

/** Interval at which a server publishes its event count, ms. It lets others notice that its last events were lost. */
const COUNT_EVERY_MS = 1_000;
/** Missed intervals after which a server counts as silent: events that it sent may be lost. */
const SILENT_COUNTS = 5;
/** Missed intervals after which a server is removed. */
const REMOVED_COUNTS = 3_600;

/** A message between servers. */
interface FanOutMessage {
  /** Random id of the sending process. */
  readonly sender: string;
  /** Number of events that it has sent, including this one. */
  readonly count: number;
  /** Missing in a message with the count only. */
  readonly event?: { readonly channel: string; readonly event: string; readonly data: unknown };
  /** True in the last message of a server that stops: it does not fall silent. */
  readonly isLast?: boolean;
}

/** Publishes to the readers of lossless channels at all servers of the installation. */
export interface FanOut {
  publish(channel: string, event: string, data: unknown): void;
  close(): void;
}

/**
 * Publishes to the hub of this server and, through Redis, to the hubs of the others. Each hub has its own positions: a reader that resumes at another
 * server gets a `gap`. Readers also get a `gap` for events that Redis loses. Each server numbers its events; after a missing number, or when a server
 * falls silent, events may be missing on any of these channels.
 * @param redis null for an installation of one server
 * @param prefixes prefixes of the names of these channels
 * @param countEveryMs interval of the counts, ms
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
  const receive = ({ sender, count, event, isLast = false }: FanOutMessage) => {
    const expected = (senders.get(sender)?.count ?? 0) + (event ? 1 : 0);
    if (isLast) senders.delete(sender);
    else senders.set(sender, { count, silentFor: 0 });
    if (count > expected) publishGap();
    if (event) publish(event.channel, event.event, event.data);
  };
  // connectRedis reports an outage of Redis; the readers at other servers get a gap.
  const others = announcements<FanOutMessage>(redis, 'streams', receive, () => {});
  const self = crypto.randomUUID();
  let count = 0;
  const counting = setInterval(() => {
    others.publish({ sender: self, count });
    for (const [sender, state] of senders) {
      state.silentFor++;
      if (state.silentFor === SILENT_COUNTS) publishGap();
      if (state.silentFor >= REMOVED_COUNTS) senders.delete(sender);
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
      others.publish({ sender: self, count, isLast: true });
      others.close();
    },
  };
}
