import type { Clock } from '@millrace/kernel';

/** Failures after which one waits: of one address on one account, of all addresses on one account, of one address on all accounts. */
const FREE_TRIES = { pair: 5, account: 100, remote: 50 } as const;
const FIRST_WAIT_MS = 15_000;
const MOST_WAIT_MS = 15 * 60_000;
/** Failures are forgotten when none came for so long. */
const FORGOTTEN_MS = 3_600_000;
/** Counts remembered; beyond it the one longest untouched is forgotten early. */
const COUNTS_MAX = 50_000;

interface Count {
  failures: number;
  lastAt: number;
  lockedUntil: number;
}

/**
 * Slows down who guesses: after some failures each further one doubles the wait. An account is locked for the address that guesses
 * long before it is locked for everyone, so that nobody is kept out by somebody else’s guesses.
 */
export class Lockout {
  readonly #clock: Clock;
  readonly #counts = new Map<string, Count>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds until the next try is heard; 0 when it is heard now. */
  waitMs(account: string, remote: string): number {
    const now = this.#clock.elapsed();
    return Math.max(0, ...keysOf(account, remote).map(([key]) => (this.#counts.get(key)?.lockedUntil ?? 0) - now));
  }

  failed(account: string, remote: string): void {
    const now = this.#clock.elapsed();
    for (const [key, free] of keysOf(account, remote)) {
      const before = this.#counts.get(key);
      const failures = before && now - before.lastAt < FORGOTTEN_MS ? before.failures + 1 : 1;
      const waitMs = failures < free ? 0 : Math.min(MOST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - free, 10));
      // Deleted first, so that the map stands in the order of the newest failures.
      this.#counts.delete(key);
      this.#counts.set(key, { failures, lastAt: now, lockedUntil: now + waitMs });
    }
    for (const key of this.#counts.keys()) {
      if (this.#counts.size <= COUNTS_MAX) break;
      this.#counts.delete(key);
    }
  }

  /** Who came in has shown who it is; the address keeps what it did to other accounts. */
  succeeded(account: string, remote: string): void {
    this.#counts.delete(`pair ${account} ${remote}`);
    this.#counts.delete(`account ${account}`);
  }
}

function keysOf(account: string, remote: string): [key: string, freeTries: number][] {
  return [
    [`pair ${account} ${remote}`, FREE_TRIES.pair],
    [`account ${account}`, FREE_TRIES.account],
    [`remote ${remote}`, FREE_TRIES.remote],
  ];
}
