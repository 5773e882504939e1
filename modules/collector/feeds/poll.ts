import { BodyTooLarge, readBodyText } from '@millrace/resilience';
import type { Feed } from '../source.ts';

const BYTES_MAX = 8 * 1024 * 1024;
const TIMEOUT_MS = 10_000;
/** There is nothing new: headers of the configuration may ask for this answer. */
const NOT_MODIFIED = 304;

/** A document behind a URL, fetched again and again; each body is a frame. One failed request ends the connection: the supervisor waits and tries again. */
export function pollFeed(url: string, everyMs: number, headers: Record<string, string>): Feed {
  return {
    open(events) {
      let timer: NodeJS.Timeout | undefined;
      let closed = false;
      let paused = false;
      let isOpen = false;
      const fetchOnce = async () => {
        try {
          const response = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
          if (response.status === NOT_MODIFIED) {
            await response.body?.cancel();
            if (closed) return;
            if (!isOpen) events.opened();
            isOpen = true;
            return schedule(everyMs);
          }
          if (!response.ok) {
            await response.body?.cancel();
            if (!closed) events.closed(`the server answered ${response.status}`);
            return;
          }
          const body = await readBodyText(response, BYTES_MAX).catch((error: unknown) => {
            if (error instanceof BodyTooLarge) return error;
            throw error;
          });
          if (closed) return;
          if (!isOpen) events.opened();
          isOpen = true;
          if (typeof body === 'string') events.frame(body);
          else events.refused('oversized', body.message, body.beginning.slice(0, 512));
          schedule(everyMs);
        } catch (error) {
          if (!closed) events.closed(error instanceof Error ? String(error.cause ?? error.message) : String(error));
        }
      };
      const schedule = (ms: number) => {
        timer = setTimeout(() => (paused ? schedule(everyMs) : void fetchOnce()), ms);
      };
      schedule(0);
      return {
        send: () => {},
        close: () => {
          closed = true;
          clearTimeout(timer);
        },
        pause: () => {
          paused = true;
        },
        resume: () => {
          paused = false;
        },
      };
    },
  };
}
