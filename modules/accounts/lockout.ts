import { clientNetwork } from '@millrace/base/client-network';
import type { Database, Transaction } from '@millrace/database';
import type { Clock } from '@millrace/kernel';
import { inArray, lt, sql } from 'drizzle-orm';
import { failedAttempts } from './tables/tables.ts';

/** Failed attempts without a wait: of one address on one account, of all addresses on one account, of one address on all accounts. */
const FREE_ATTEMPTS = { pair: 5, account: 100, remote: 50 } as const;
const FIRST_WAIT_MS = 15_000;
const WAIT_MS_MAX = 15 * 60_000;
/** Failures expire after this time without a new one. */
const FORGOTTEN_MS = 3_600_000;
const CLEAN_UP_MS = 600_000;
/** Namespace of our advisory locks: attempts on one account are admitted one after another. The value is arbitrary. */
const ATTEMPTS_LOCK = 6_455_225;

type Tables = Pick<Transaction, 'select' | 'execute'>;

interface Counter {
  readonly key: string;
  readonly free: number;
}

/**
 * Slows down guessing: after some failures, each further one doubles the wait. An account is locked for the guessing address long before it is locked
 * for all addresses, so that an attacker cannot lock out the owner.
 *
 * Counts are in the database, so they apply to all servers and survive restarts. An attempt counts as failed from its start, so parallel attempts gain
 * nothing over sequential ones.
 */
export class Lockout {
  readonly #database: Database;
  readonly #clock: Clock;
  #cleanedUpAt = Number.NEGATIVE_INFINITY;

  /** @param clock its time of day is compared between servers */
  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Time until the next attempt is admitted, ms; 0 when this attempt is admitted. */
  waitMs(account: string, remote: string): Promise<number> {
    return this.#waitMs(this.#database.drizzle, countersOf(account, remote));
  }

  /** Like `waitMs`, and counts an admitted attempt as failed until it is withdrawn or one succeeds. */
  async begin(account: string, remote: string): Promise<number> {
    const counters = countersOf(account, remote);
    return this.#database.drizzle.transaction(async (transaction) => {
      await transaction.execute(sql`select pg_advisory_xact_lock(${ATTEMPTS_LOCK}, hashtext(${account}))`);
      const waitMs = await this.#waitMs(transaction, counters);
      if (waitMs === 0) await this.#count(transaction, counters.slice(0, 2));
      return waitMs;
    });
  }

  /** Records that a begun attempt has failed: it counts for its address too. */
  async failed(account: string, remote: string): Promise<void> {
    const [, , ofRemote] = countersOf(account, remote);
    await this.#count(this.#database.drizzle, [ofRemote]);
    await this.#cleanUp();
  }

  /** Records a failed attempt that was not begun, because its account was not known before. */
  async failedAt(what: string, remote: string): Promise<void> {
    await this.#count(this.#database.drizzle, countersOf(what, remote));
    await this.#cleanUp();
  }

  /** Withdraws an admitted attempt that did not fail because of its credentials. */
  async withdrawn(account: string, remote: string): Promise<void> {
    for (const { key, free } of countersOf(account, remote).slice(0, 2))
      await this.#database.drizzle.execute(sql`
        update ${failedAttempts}
        set failures = failures - 1, locked_until = case when failures - 1 < ${free} then 0 else locked_until end
        where key = ${key} and failures > 0`);
  }

  /** Records a success: clears the failures of the account. The address keeps its failures on other accounts. */
  async succeeded(account: string, remote: string): Promise<void> {
    const keys = countersOf(account, remote)
      .slice(0, 2)
      .map(({ key }) => key);
    await this.#database.drizzle.delete(failedAttempts).where(inArray(failedAttempts.key, keys));
  }

  async #waitMs(tables: Tables, counters: readonly Counter[]): Promise<number> {
    const known = await tables
      .select({ lockedUntil: failedAttempts.lockedUntil })
      .from(failedAttempts)
      .where(
        inArray(
          failedAttempts.key,
          counters.map(({ key }) => key),
        ),
      );
    const now = this.#clock.now();
    return Math.max(0, ...known.map(({ lockedUntil }) => lockedUntil - now));
  }

  async #count(tables: Tables, counters: readonly Counter[]): Promise<void> {
    const now = this.#clock.now();
    // Always in this order, so that two transactions cannot deadlock.
    for (const { key, free } of counters) {
      const failures = sql`(case when ${failedAttempts}.last_at > ${now - FORGOTTEN_MS} then ${failedAttempts}.failures else 0 end + 1)`;
      const lockedUntil = sql`case when ${failures} < ${free} then 0 else ${now} + least(${WAIT_MS_MAX}::bigint, ${FIRST_WAIT_MS} * (2 ^ least(${failures} - ${free}, 10))::bigint) end`;
      await tables.execute(sql`
        insert into ${failedAttempts} (key, failures, last_at, locked_until) values (${key}, 1, ${now}, 0)
        on conflict (key) do update set failures = ${failures}, last_at = ${now}, locked_until = ${lockedUntil}`);
    }
  }

  async #cleanUp(): Promise<void> {
    const now = this.#clock.now();
    if (now - this.#cleanedUpAt < CLEAN_UP_MS) return;
    this.#cleanedUpAt = now;
    await this.#database.drizzle.delete(failedAttempts).where(lt(failedAttempts.lastAt, now - FORGOTTEN_MS));
  }
}

function countersOf(account: string, address: string): [pair: Counter, account: Counter, remote: Counter] {
  const remote = clientNetwork(address);
  return [
    { key: `pair ${account} ${remote}`, free: FREE_ATTEMPTS.pair },
    { key: `account ${account}`, free: FREE_ATTEMPTS.account },
    { key: `remote ${remote}`, free: FREE_ATTEMPTS.remote },
  ];
}
