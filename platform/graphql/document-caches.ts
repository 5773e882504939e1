import { createLRUCache } from 'graphql-yoga';

/** Maximum number of cached parsed documents, and of cached parse errors. A document of `TOKENS_MAX` tokens takes about 1 MB. */
const PARSED_MAX = 100;
/** Maximum number of automatic persisted queries: sent once, then named by hash. Each has at most `DOCUMENT_CHARACTERS_MAX` characters. */
const PERSISTED_MAX = 1_000;
const PERSISTED_MS = 36_000;

/** Documents that a server caches between requests. The least recently used ones are evicted first. */
export type DocumentCaches = ReturnType<typeof createDocumentCaches>;

/** Empty caches for one server. */
export function createDocumentCaches() {
  return {
    parsed: createLRUCache({ max: PARSED_MAX }),
    errors: createLRUCache({ max: PARSED_MAX }),
    persisted: createLRUCache<string>({ max: PERSISTED_MAX, ttl: PERSISTED_MS }),
  };
}
