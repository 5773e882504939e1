import type { IncomingHttpHeaders } from 'node:http';
import type { Caller, Identify } from './caller.ts';
import { ApiProblem } from './problems.ts';
import { MemoryRateLimiter } from './rate-limit.ts';

/** Different credentials from one address that are not valid. */
const DIFFERENT = { requestsPerSecond: 1, burst: 60 };
/** The same one, again and again: a program whose key has ended. */
const SAME = { requestsPerSecond: 1, burst: 10 };
/** What is compared of a credential: a key’s prefix, `mill_` and six characters, or as much of the end of a token. */
const COMPARED_CHARACTERS = 11;
const KEY_PREFIX = 'mill_';

/** How long a credential counts as valid lately, at least. */
const VALID_LATELY_MS = 600_000;
const VALID_LATELY_MAX = 10_000;

/**
 * Looks up who makes a request, but not for an address that shows one credential after another that is not valid. Whoever shares that address is not
 * kept out by it: what was valid lately, from wherever, is looked up all the same, and a credential that comes again counts against itself alone.
 * @param now ms of a clock that never goes back
 */
export function limitGuesses(identify: Identify, now: () => number): Identify {
  const failures = new MemoryRateLimiter(now);
  const valid = new RecentlyValid(now);
  const isOver = (key: string, rate: typeof SAME) => failures.knows(key) && failures.take(key, rate, 0).remaining < 1;
  const failed = (remote: string, credential: string, error: unknown): never => {
    if (error instanceof ApiProblem && error.code === 'INVALID_TOKEN') {
      valid.delete(credential);
      const same = sameOf(remote, credential);
      // Only the first time it is another one.
      if (!failures.knows(same)) failures.take(remote, DIFFERENT, 1);
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
    if (!wasValid && isOver(remote, DIFFERENT))
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

/** What a request shows to say who makes it; null when nothing but perhaps a cookie. */
function credentialIn({ authorization, 'x-api-key': key }: IncomingHttpHeaders): string | null {
  return key !== undefined ? String(key) : (authorization ?? null);
}

function sameOf(remote: string, credential: string): string {
  const start = credential.indexOf(KEY_PREFIX);
  const compared = start === -1 ? credential.slice(-COMPARED_CHARACTERS) : credential.slice(start, start + COMPARED_CHARACTERS);
  return `${remote} ${compared}`;
}

/** Credentials that were valid lately. Bounded: when there are too many, the older half is forgotten. */
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
    // Asked for again: it is remembered as long as if it were new, for it is deleted if it turns out not to be valid any more.
    this.add(credential);
    return true;
  }

  add(credential: string): void {
    const now = this.#now();
    if (this.#young.size >= VALID_LATELY_MAX || now - this.#changedAt > VALID_LATELY_MS) {
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
