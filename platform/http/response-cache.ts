import { hash } from 'node:crypto';
import type { CacheRule } from '@millrace/contracts';
import { LRUCache } from 'lru-cache';

/** Maximum number of cached responses. Above it the least recently used are dropped. */
const RESPONSES_MAX = 2_000;
export const BYTES_MAX = 64 * 1024 * 1024;

export interface CachedResponse {
  readonly body: string;
  readonly etag: string;
}

interface Entry {
  readonly response: CachedResponse | null;
  readonly computedAt: number;
  readonly tag: string;
  /** In progress: later requests wait for the same. */
  computing: Promise<CachedResponse> | null;
}

export interface CacheStats {
  readonly responses: number;
  readonly bytes: number;
  readonly hits: number;
  readonly stale: number;
  readonly misses: number;
  readonly invalidated: number;
}

/**
 * Responses that are returned again for the same request until an event invalidates them. A module invalidates before it publishes, so an event
 * on a channel is never newer than the response.
 */
export class ResponseCache {
  readonly #now: () => number;
  readonly #entries = new LRUCache<string, Entry>({
    max: RESPONSES_MAX,
    maxSize: BYTES_MAX,
    sizeCalculation: ({ response }) => Math.max(1, response?.body.length ?? 0),
    dispose: ({ tag }, request, reason) => {
      if (reason !== 'set') this.#forgetTag(tag, request);
    },
  });
  readonly #byTag = new Map<string, Set<string>>();
  #hits = 0;
  #stale = 0;
  #misses = 0;
  #invalidated = 0;

  /** @param now monotonic clock, ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The response to a request, computed when no valid one is cached; once, however many callers wait for it. */
  async get(
    request: string,
    tag: string,
    { maxAgeMs, staleMs }: Pick<CacheRule, 'maxAgeMs' | 'staleMs'>,
    compute: () => Promise<unknown>,
  ): Promise<CachedResponse> {
    const entry = this.#entries.get(request);
    const age = entry?.response ? this.#now() - entry.computedAt : Number.POSITIVE_INFINITY;
    if (entry?.response && age <= maxAgeMs) {
      this.#hits++;
      return entry.response;
    }
    if (entry?.response && age <= maxAgeMs + staleMs) {
      this.#stale++;
      // Later requests get the new response; when it fails, the old one for a while longer.
      entry.computing ??= this.#compute(request, entry, compute);
      entry.computing.catch(() => {});
      return entry.response;
    }
    if (entry && entry.computing !== null) {
      this.#hits++;
      return entry.computing;
    }
    this.#misses++;
    const fresh: Entry = { response: null, computedAt: 0, tag, computing: null };
    this.#entries.delete(request);
    this.#entries.set(request, fresh);
    this.#requestsOf(tag).add(request);
    fresh.computing = this.#compute(request, fresh, compute);
    return fresh.computing;
  }

  /** Drops the responses about a subject. */
  invalidate(tag: string): void {
    const requests = this.#byTag.get(tag);
    if (!requests) return;
    for (const request of [...requests]) this.#entries.delete(request);
    this.#invalidated++;
  }

  stats(): CacheStats {
    return {
      responses: this.#entries.size,
      bytes: this.#entries.calculatedSize,
      hits: this.#hits,
      stale: this.#stale,
      misses: this.#misses,
      invalidated: this.#invalidated,
    };
  }

  async #compute(request: string, entry: Entry, compute: () => Promise<unknown>): Promise<CachedResponse> {
    try {
      const body = JSON.stringify(await compute());
      const response = { body, etag: `"${hash('sha1', body, 'base64url')}"` };
      // Invalidated meanwhile: it may be older than the event. It is valid for the requests before the event, and for no others.
      if (this.#entries.peek(request) !== entry) return response;
      this.#entries.set(request, { response, computedAt: this.#now(), tag: entry.tag, computing: null });
      // The cache does not store a response that is larger than itself.
      if (!this.#entries.has(request)) this.#forgetTag(entry.tag, request);
      return response;
    } catch (error) {
      if (this.#entries.peek(request) === entry) {
        entry.computing = null;
        if (!entry.response) this.#entries.delete(request);
      }
      throw error;
    }
  }

  #requestsOf(tag: string): Set<string> {
    let requests = this.#byTag.get(tag);
    if (!requests) {
      requests = new Set();
      this.#byTag.set(tag, requests);
    }
    return requests;
  }

  #forgetTag(tag: string, request: string): void {
    const requests = this.#byTag.get(tag);
    requests?.delete(request);
    if (requests?.size === 0) this.#byTag.delete(tag);
  }
}
