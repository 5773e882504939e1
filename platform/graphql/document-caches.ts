import { createLRUCache } from 'graphql-yoga';

/** Documents kept parsed, and as many that cannot be parsed; one of `TOKENS_MAX` tokens takes about a megabyte. */
const PARSED_MAX = 100;
/** Documents that clients send once and then name by their hash; each has at most `DOCUMENT_CHARACTERS_MAX` characters. */
const PERSISTED_MAX = 1_000;
const PERSISTED_MS = 36_000;

/** Documents that a server keeps between requests. The least recently used ones go first. */
export type DocumentCaches = ReturnType<typeof createDocumentCaches>;

export function createDocumentCaches() {
  return {
    parsed: createLRUCache({ max: PARSED_MAX }),
    errors: createLRUCache({ max: PARSED_MAX }),
    persisted: createLRUCache<string>({ max: PERSISTED_MAX, ttl: PERSISTED_MS }),
  };
}
