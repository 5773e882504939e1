import type { Clock } from '@millrace/kernel';

/** A code counts for its own half minute, the one before and the one after. */
const GOOD_FOR_MS = 90_000;

/** A code of an authenticator lets its owner in once: who has looked over a shoulder comes too late (RFC 6238, section 5.2). */
export class UsedCodes {
  readonly #clock: Clock;
  readonly #used = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether it is its first use. */
  use(user: string, code: string): boolean {
    const now = this.#clock.elapsed();
    for (const [key, at] of this.#used) {
      if (now - at < GOOD_FOR_MS) break;
      this.#used.delete(key);
    }
    const key = `${user} ${code}`;
    if (this.#used.has(key)) return false;
    this.#used.set(key, now);
    return true;
  }
}
