import { BodyTooLarge, readBodyText, retryAfterMs } from '@millrace/resilience';
import type { Feed } from '../source.ts';

const BYTES_MAX = 8 * 1024 * 1024;
const TIMEOUT_MS = 10_000;
/** Status "Not Modified", which conditional headers of the configuration may cause. */
const NOT_MODIFIED = 304;

/** Fetches a document periodically; each body is a frame. A failed request closes the connection: the supervisor retries with backoff. */
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
            events.heard();
            return schedule(everyMs);
          }
          if (!response.ok) {
            await response.body?.cancel();
            if (!closed)
              events.closed(`the server answered ${response.status}`, retryAfterMs(response.headers.get('retry-after'), Date.now()));
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
