import type { Principal } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { ApiProblem, type StreamsOf } from '@millrace/http';
import type { Clock } from '@millrace/kernel';
import { sql } from 'drizzle-orm';
import { ACCESS_TOKEN_S } from './access-tokens.ts';
import { revocations } from './tables/tables.ts';

/** Poll interval of the table, used when no notification arrives: the maximum delay of a revocation at another server. */
const POLL_MS = 1_000;
/** A server that could not read the table for this time trusts none of its cache. Equals the cache time of sessions and keys. */
const STALE_MS_MAX = 10_000;
/** Revoked access tokens have expired after this time, including the clock difference of two servers. */
const REMEMBERED_MS = (ACCESS_TOKEN_S + 60) * 1_000;
/** Retention of rows. A server that did not read for longer may have missed some and clears all its caches. */
const KEPT_MS = 86_400_000;
const CLEAN_UP_MS = 3_600_000;

export interface RevocationParts {
  readonly database: Database;
  readonly clock: Clock;
  /** Whether other servers change the same tables. Not so with an embedded database, which needs no polling. */
  readonly isShared: boolean;
  /** Called with revoked users and credentials: clears them from caches and ends their open connections. */
  readonly onRevoked: (revoked: Revoked) => void;
  /** Notifications between the servers: `publish` makes the others read the table at once; `heard` is called after their changes. */
  readonly others: (heard: (message: 'changed') => void) => { publish(message: 'changed'): void; close(): void };
  readonly onFailure: (message: string, detail: unknown) => void;
}

export type Revoked = StreamsOf | { readonly tenant: string };

interface Row {
  readonly horizon: string;
  readonly position: string | null;
  readonly kind: 'user' | 'credential' | 'tenant';
  readonly subject: string;
  readonly version: number;
}

/**
 * The content of the table `revocations`, at most one second old: revoked versions of users, revoked sessions and keys. The table is the only source, so
 * a server that starts or was disconnected reads what it missed. Notifications of other servers only make it read sooner.
 */
export class Revocations {
  readonly #parts: RevocationParts;
  readonly #others: ReturnType<RevocationParts['others']>;
  /** Newest known versions of users, and ended credentials, each with the elapsed ms until which a token may name them. */
  readonly #versions = new Map<string, { version: number; until: number }>();
  readonly #ended = new Map<string, number>();
  /** All transactions below this id have ended and were read. */
  #horizon = 0;
  /** Positions that were read and may be read again, because their transactions are not below the horizon. */
  #read: ReadonlySet<string> = new Set();
  #currentAt: number | null = null;
  /** Whether a change of this server has not been read back yet. */
  #isBehind = false;
  #isFailing = false;
  #cleanedUpAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  #cancelPoll: (() => void) | null = null;
  #isClosed = false;

  constructor(parts: RevocationParts) {
    this.#parts = parts;
    this.#others = parts.others(() => void this.#catchUpQuietly());
  }

  /** Reads the table, then follows it. Rejects when the table cannot be read. */
  async begin(): Promise<void> {
    await this.#catchUp();
    this.#poll();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelPoll?.();
    this.#others.close();
  }

  /**
   * Call after each change of the tables that may revoke something. The revocation applies on this server when the promise resolves, and shortly after
   * on others. If the table cannot be read, no cached principal is trusted until it can.
   */
  async changed(): Promise<void> {
    this.#others.publish('changed');
    if (await this.#catchUpQuietly()) return;
    this.#isBehind = true;
    this.#poll();
  }

  /** @throws ApiProblem while recent revocations are unknown */
  requireCurrent(): void {
    const { clock, isShared } = this.#parts;
    if (this.#currentAt === null)
      throw new ApiProblem(
        'DATABASE_UNAVAILABLE',
        'Revoked sessions, tokens and API keys are not loaded yet.',
        'The server is starting; try again in a moment.',
      );
    const staleMs = clock.elapsed() - this.#currentAt;
    if (this.#isBehind || (isShared && staleMs > STALE_MS_MAX))
      throw new ApiProblem(
        'DATABASE_UNAVAILABLE',
        `Revocations of the last ${Math.ceil(staleMs / 1_000)} s are not loaded: the database cannot be reached.`,
        'Try again in a moment.',
      );
  }

  /** Whether the user version or the credential of this caller was revoked. */
  isRevoked({ user, version, credential }: Pick<Principal, 'user' | 'version' | 'credential'>): boolean {
    if (credential !== null && this.#ended.has(credential)) return true;
    return user !== null && version !== null && version < (this.#versions.get(user)?.version ?? 0);
  }

  #poll(): void {
    this.#cancelPoll?.();
    if (this.#isClosed || (!this.#parts.isShared && !this.#isBehind)) return;
    this.#cancelPoll = this.#parts.clock.after(POLL_MS, () => void this.#catchUpQuietly().then(() => this.#poll()));
  }

  /** @returns whether the table could be read */
  async #catchUpQuietly(): Promise<boolean> {
    if (this.#isClosed) return false;
    try {
      await this.#catchUp();
      this.#isFailing = false;
      return true;
    } catch (error) {
      // Logged once per outage.
      if (!this.#isFailing && !this.#isClosed) this.#parts.onFailure('revoked sessions, tokens and keys cannot be read', error);
      this.#isFailing = true;
      return false;
    }
  }

  /** Resolves when all rows committed before the call have been read. */
  #catchUp(): Promise<void> {
    // A read in progress may have begun before that commit, so callers share the next one.
    this.#next ??= (this.#reading ?? Promise.resolve())
      .catch(() => {})
      .then(() => {
        this.#next = null;
        this.#reading = this.#readOn();
        return this.#reading;
      });
    return this.#next;
  }

  async #readOn(): Promise<void> {
    const { clock, database } = this.#parts;
    const begunAt = clock.elapsed();
    if (this.#currentAt !== null && begunAt - this.#currentAt > KEPT_MS) this.#startAfresh();
    const isFirst = this.#currentAt === null;
    const { rows } = await database.drizzle.execute<Row & Record<string, unknown>>(sql`
      select snapshot.horizon, position, kind, subject, version
      from (select pg_snapshot_xmin(pg_current_snapshot())::text as horizon) as snapshot
      left join ${revocations} on transaction >= ${this.#horizon} and (not ${isFirst} or at > now() - make_interval(secs => ${REMEMBERED_MS / 1_000}))
      order by position`);
    const horizon = Number(rows[0]?.horizon ?? 0);
    // The tables were moved to another database server, whose transaction ids differ.
    if (horizon < this.#horizon) {
      this.#startAfresh();
      return this.#readOn();
    }
    const before = this.#read;
    this.#read = new Set(rows.flatMap(({ position }) => position ?? []));
    this.#horizon = horizon;
    this.#forget();
    for (const row of rows) if (row.position !== null && !before.has(row.position)) this.#apply(row);
    this.#currentAt = begunAt;
    this.#isBehind = false;
    if (begunAt - this.#cleanedUpAt > CLEAN_UP_MS) {
      this.#cleanedUpAt = begunAt;
      await database.drizzle.execute(sql`delete from ${revocations} where at < now() - make_interval(secs => ${KEPT_MS / 1_000})`);
    }
  }

  #apply({ kind, subject, version }: Row): void {
    const until = this.#parts.clock.elapsed() + REMEMBERED_MS;
    if (kind === 'tenant') return this.#parts.onRevoked({ tenant: subject });
    if (kind === 'user') this.#versions.set(subject, { version: Math.max(version, this.#versions.get(subject)?.version ?? 0), until });
    else this.#ended.set(subject, until);
    this.#parts.onRevoked(kind === 'user' ? { user: subject } : { credential: subject });
  }

  /** Drops old entries, which no valid token can name any more. */
  #forget(): void {
    const now = this.#parts.clock.elapsed();
    for (const [user, { until }] of this.#versions) if (until < now) this.#versions.delete(user);
    for (const [credential, until] of this.#ended) if (until < now) this.#ended.delete(credential);
  }

  #startAfresh(): void {
    this.#horizon = 0;
    this.#read = new Set();
    this.#currentAt = null;
    this.#parts.onRevoked({ everyone: true });
  }
}
