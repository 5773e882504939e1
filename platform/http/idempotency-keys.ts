import { randomUUID } from 'node:crypto';
import type { Database } from '@millrace/database';
import { sql } from 'drizzle-orm';
import { bigint, index, integer, pgTable, text } from 'drizzle-orm/pg-core';
import type { IdempotencyStore, KeyUse, Reservation, StoredResponse } from './idempotency.ts';

/** How long a key and its response are kept, ms. */
const KEEP_MS = 24 * 3_600_000;
/** How long a reservation outlives the process that made it, ms. A living process renews it. */
const RESERVED_MS = 60_000;
const RENEW_MS = 15_000;
/** Responses kept in memory that could not be stored, of at most 1 MiB each. */
const UNSTORED_MAX = 100;
/** Keys of one principal that are kept at a time. */
const KEYS_MAX = 10_000;
/** How often a process deletes expired keys, ms. */
const DELETE_EVERY_MS = 600_000;
/** Times that a key is looked up again when it was freed in between. */
const ATTEMPTS_MAX = 3;

/** Idempotency keys in use, with their sealed responses. Times are epoch ms by the clock of the database. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    id: text('id').primaryKey(),
    principal: text('principal').notNull(),
    fingerprint: text('fingerprint').notNull(),
    /** The run that has the reservation. */
    attempt: text('attempt').notNull(),
    reservedUntil: bigint('reserved_until', { mode: 'number' }).notNull(),
    /** Null while the request runs. */
    response: text('response'),
    status: integer('status'),
    expiresAt: bigint('expires_at', { mode: 'number' }).notNull(),
  },
  (table) => [index('idempotency_keys_principal').on(table.principal), index('idempotency_keys_expires_at').on(table.expiresAt)],
);

/** Seals what is stored: responses may have secrets. */
export interface Sealing {
  seal(plain: string, context: string): Promise<string>;
  open(sealed: string, context: string): Promise<string>;
}

export interface IdempotencyKeyOptions {
  readonly reservedMs?: number;
  readonly keysMax?: number;
}

const NOW = sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`;

interface KeyRow {
  readonly fingerprint: string;
  readonly status: number | null;
  readonly response: string | null;
  readonly left: string | number;
}

/** Idempotency keys in the relational store. Statements are atomic, so that any number of servers may share it. */
export class IdempotencyKeys implements IdempotencyStore {
  readonly #database: Database;
  readonly #sealing: Sealing;
  readonly #reservedMs: number;
  readonly #keysMax: number;
  /** Runs of this process that have not finished, by attempt. */
  readonly #running = new Map<string, string>();
  /** Responses of such runs that could not be stored yet, oldest first. */
  readonly #unstored = new Map<string, StoredResponse>();
  #renewing: NodeJS.Timeout | null = null;
  #deletedAt = Number.NEGATIVE_INFINITY;

  constructor(database: Database, sealing: Sealing, { reservedMs = RESERVED_MS, keysMax = KEYS_MAX }: IdempotencyKeyOptions = {}) {
    this.#database = database;
    this.#sealing = sealing;
    this.#reservedMs = reservedMs;
    this.#keysMax = keysMax;
  }

  async reserve(use: KeyUse): Promise<Reservation> {
    await this.#deleteExpired();
    const attempt = randomUUID();
    for (let times = 0; times < ATTEMPTS_MAX; times++) {
      if (await this.#insert(use, attempt)) {
        this.#running.set(attempt, use.id);
        this.#renewing ??= setInterval(() => void this.#renew(), Math.min(RENEW_MS, this.#reservedMs / 4)).unref();
        return { state: 'reserved', attempt };
      }
      const row = await this.#row(use.id);
      if (row) return this.#found(use, row);
      if (await this.#isFull(use)) return { state: 'too-many', keysMax: this.#keysMax };
    }
    return { state: 'running', leftMs: 0 };
  }

  /** A response that cannot be stored is stored later; until then its reservation is renewed, so a repeat does not run. */
  async finish({ id }: KeyUse, attempt: string, response: StoredResponse): Promise<void> {
    try {
      await this.#store(id, attempt, response);
    } catch (error) {
      if (this.#running.has(attempt)) this.#unstored.set(attempt, response);
      for (const oldest of this.#unstored.keys()) {
        if (this.#unstored.size <= UNSTORED_MAX) break;
        this.#ended(oldest);
      }
      throw error;
    }
    this.#ended(attempt);
  }

  async #store(id: string, attempt: string, { status, ...rest }: StoredResponse): Promise<void> {
    const response = await this.#sealing.seal(JSON.stringify(rest), id);
    await this.#database.drizzle.execute(
      sql`update ${idempotencyKeys} set status = ${status}, response = ${response} where id = ${id} and attempt = ${attempt} and status is null`,
    );
  }

  async #storeAgain(): Promise<void> {
    for (const [attempt, response] of this.#unstored) {
      await this.#store(this.#running.get(attempt) ?? '', attempt, response);
      this.#ended(attempt);
    }
  }

  async release({ id }: KeyUse, attempt: string): Promise<void> {
    try {
      await this.#database.drizzle.execute(
        sql`delete from ${idempotencyKeys} where id = ${id} and attempt = ${attempt} and status is null`,
      );
    } finally {
      this.#ended(attempt);
    }
  }

  /** Ends the renewal of reservations, as the end of the process does. */
  close(): void {
    this.#running.clear();
    this.#unstored.clear();
    this.#stopRenewing();
  }

  /** Takes a key that is new, expired, or left behind by a run whose process died. */
  async #insert({ id, principal, fingerprint }: KeyUse, attempt: string): Promise<boolean> {
    const { rows } = await this.#database.drizzle.execute(sql`
      insert into ${idempotencyKeys} as k (id, principal, fingerprint, attempt, reserved_until, expires_at)
      select ${id}, ${principal}, ${fingerprint}, ${attempt}, ${NOW} + ${this.#reservedMs}::bigint, ${NOW} + ${KEEP_MS}::bigint
      where (select count(*) from (${this.#otherKeys(principal, id)}) used) < ${this.#keysMax}
      on conflict (id) do update set
        fingerprint = excluded.fingerprint, attempt = excluded.attempt, reserved_until = excluded.reserved_until,
        expires_at = excluded.expires_at, status = null, response = null
      where k.expires_at <= ${NOW} or (k.status is null and k.reserved_until <= ${NOW} and k.fingerprint = excluded.fingerprint)
      returning k.attempt`);
    return rows.length > 0;
  }

  async #row(id: string): Promise<KeyRow | undefined> {
    const { rows } = await this.#database.drizzle.execute(
      sql`select fingerprint, status, response, reserved_until - ${NOW} as left from ${idempotencyKeys} where id = ${id} and expires_at > ${NOW}`,
    );
    return rows[0] as KeyRow | undefined;
  }

  async #found({ id, fingerprint }: KeyUse, row: KeyRow): Promise<Reservation> {
    if (row.fingerprint !== fingerprint) return { state: 'reused' };
    if (row.status === null || row.response === null) return { state: 'running', leftMs: Math.max(0, Number(row.left)) };
    const rest = JSON.parse(await this.#sealing.open(row.response, id)) as Omit<StoredResponse, 'status'>;
    return { state: 'finished', response: { status: row.status, ...rest } };
  }

  async #isFull({ principal, id }: KeyUse): Promise<boolean> {
    const { rows } = await this.#database.drizzle.execute(sql`select count(*)::int as used from (${this.#otherKeys(principal, id)}) used`);
    return Number(rows[0]?.used) >= this.#keysMax;
  }

  /** The other keys of a principal, no more of them than it takes to see that there are too many. */
  #otherKeys(principal: string, id: string) {
    return sql`select 1 from ${idempotencyKeys} where principal = ${principal} and id <> ${id} and expires_at > ${NOW} limit ${this.#keysMax}`;
  }

  async #renew(): Promise<void> {
    const attempts = [...this.#running.keys()];
    const ids = [...this.#running.values()];
    if (attempts.length === 0) return;
    // The next attempt may succeed: a reservation outlives several failures.
    await this.#database.drizzle
      .execute(
        sql`update ${idempotencyKeys} k set reserved_until = ${NOW} + ${this.#reservedMs}::bigint
          from unnest(${sql.param(ids)}::text[], ${sql.param(attempts)}::text[]) as r(id, attempt)
          where k.id = r.id and k.attempt = r.attempt and k.status is null`,
      )
      .then(() => this.#storeAgain())
      .catch(() => {});
  }

  #ended(attempt: string): void {
    this.#running.delete(attempt);
    this.#unstored.delete(attempt);
    if (this.#running.size === 0) this.#stopRenewing();
  }

  #stopRenewing(): void {
    if (this.#renewing) clearInterval(this.#renewing);
    this.#renewing = null;
  }

  async #deleteExpired(): Promise<void> {
    if (performance.now() - this.#deletedAt < DELETE_EVERY_MS) return;
    this.#deletedAt = performance.now();
    await this.#database.drizzle.execute(sql`delete from ${idempotencyKeys} where expires_at <= ${NOW}`);
  }
}
