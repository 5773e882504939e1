import type { Hub } from '../streams/index.ts';
import { announcements, nobodyElse } from './announcements.ts';
import type { Redis } from './connect.ts';

interface Told {
  readonly channel: string;
  readonly event: string;
  readonly data: unknown;
}

/** Tells whoever watches a lossless channel, at whichever server of the installation. */
export interface FanOut {
  publish(channel: string, event: string, data: unknown): void;
  close(): void;
}

/**
 * Publishes to this server’s hub and, through Redis, to the others’. Positions are each hub’s own: who goes on at another server is told so by a `gap`.
 * @param redis null where there is one server
 */
export function fanOut(hub: Hub, redis: Redis | null): FanOut {
  const heard = ({ channel, event, data }: Told) => {
    if (hub.isWanted(channel)) hub.publish(channel, 'lossless', event, '', data);
  };
  // Whoever connected hears that Redis is away; what is told meanwhile is told here alone.
  const others = redis ? announcements<Told>(redis, 'streams', heard, () => {}) : nobodyElse;
  return {
    publish: (channel, event, data) => {
      const told: Told = { channel, event, data };
      heard(told);
      others.tell(told);
    },
    close: () => others.close(),
  };
}
