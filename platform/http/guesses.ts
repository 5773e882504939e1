import type { IncomingHttpHeaders } from 'node:http';
import { clientNetwork } from '@millrace/base/client-network';
import type { Caller, Identify } from './caller.ts';
import { ApiProblem } from './problems.ts';
import { MemoryRateLimiter } from './rate-limit.ts';

/** Rate of different invalid credentials from one address. */
const DIFFERENT = { requestsPerSecond: 1, burst: 60 };
/** Rate of the same invalid credential: a program whose key has expired. */
const SAME = { requestsPerSecond: 1, burst: 10 };
/** Compared length of a credential: `mill_` and six characters of a key, or as many from the end of a token. */
const COMPARED_CHARACTERS = 11;
const KEY_PREFIX = 'mill_';

/** Minimum time that a credential counts as recently valid, ms, unless there are too many. */
const RECENTLY_VALID_MS = 600_000;
const RECENTLY_VALID_MAX = 10_000;

/**
 * Limits invalid credentials per address: over the limit a credential is refused without a lookup. Other users of that address are not blocked: a
 * credential that was recently valid, from any address, is always looked up, and a repeated one counts only against itself.
 * @param now monotonic clock, ms
 */
export function limitGuesses(identify: Identify, now: () => number): Identify {
  const failures = new MemoryRateLimiter(now);
  const valid = new RecentlyValid(now);
  const isOver = (key: string, rate: typeof SAME) => failures.knows(key) && failures.take(key, rate, 0).remaining < 1;
  const failed = (remote: string, credential: string, error: unknown): never => {
    if (error instanceof ApiProblem && error.code === 'INVALID_TOKEN') {
      valid.delete(credential);
      const same = sameOf(remote, credential);
      // A repeated credential is not counted as a different one.
      if (!failures.knows(same)) failures.take(clientNetwork(remote), DIFFERENT, 1);
      failures.take(same, SAME, 1);
    }
    throw error;
  };
  return (caller: Caller) => {
    const { headers, remote } = caller;
    const credential = credentialIn(headers);
    if (credential === null) return identify(caller);
    const wasValid = valid.has(credential);
    if (!wasValid && isOver(sameOf(remote, credential), SAME))
      throw new ApiProblem('RATE_LIMITED', 'The same invalid credential was sent too often.', 'Wait a minute, then send a valid one.');
    if (!wasValid && isOver(clientNetwork(remote), DIFFERENT))
      throw new ApiProblem(
        'RATE_LIMITED',
        `Too many invalid credentials from ${remote}.`,
        'Wait a minute, then send a valid one. Credentials that were valid in the last ten minutes are not affected.',
      );
    try {
      const found = identify(caller);
      if (!(found instanceof Promise)) {
        if (!wasValid) valid.add(credential);
        return found;
      }
      return found.then(
        (principal) => {
          valid.add(credential);
          return principal;
        },
        (error) => failed(remote, credential, error),
      );
    } catch (error) {
      return failed(remote, credential, error);
    }
  };
}

/** The API key or Authorization header of a request. Null when it has neither; cookies do not count. */
function credentialIn({ authorization, 'x-api-key': key }: IncomingHttpHeaders): string | null {
  return key !== undefined ? String(key) : (authorization ?? null);
}

function sameOf(remote: string, credential: string): string {
  const start = credential.indexOf(KEY_PREFIX);
  const compared = start === -1 ? credential.slice(-COMPARED_CHARACTERS) : credential.slice(start, start + COMPARED_CHARACTERS);
  return `${clientNetwork(remote)} ${compared}`;
}

/** Credentials that were recently valid. Bounded: when there are too many, the older half is dropped. */
class RecentlyValid {
  readonly #now: () => number;
  #young = new Set<string>();
  #old = new Set<string>();
  #changedAt: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#changedAt = now();
  }

  has(credential: string): boolean {
    if (this.#young.has(credential)) return true;
    if (!this.#old.has(credential)) return false;
    // Renewed by use. The caller deletes it if its lookup fails.
    this.add(credential);
    return true;
  }

  add(credential: string): void {
    const now = this.#now();
    if (this.#young.size >= RECENTLY_VALID_MAX || now - this.#changedAt > RECENTLY_VALID_MS) {
      this.#old = this.#young;
      this.#young = new Set();
      this.#changedAt = now;
    }
    this.#young.add(credential);
  }

  delete(credential: string): void {
    this.#young.delete(credential);
    this.#old.delete(credential);
  }
}
