import type { Principal } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { ApiProblem, type StreamsOf } from '@millrace/http';
import type { Clock } from '@millrace/kernel';
import { sql } from 'drizzle-orm';
import { ACCESS_TOKEN_S } from './access-tokens.ts';
import { revocations } from './tables/tables.ts';

/** How often the table is read when nothing is heard of a change: the longest that a revocation takes to reach another server. */
const POLL_MS = 1_000;
/** A server that could not read the table for so long decides on nothing that it cached: as long as it may cache a session or a key. */
const STALE_MS_MAX = 10_000;
/** Access tokens that a revocation is about have expired by then, whatever the clocks of two servers are apart. */
const REMEMBERED_MS = (ACCESS_TOKEN_S + 60) * 1_000;
/** Rows are kept for so long. A server that did not read for longer has missed some, and starts afresh. */
const KEPT_MS = 86_400_000;
const CLEAN_UP_MS = 3_600_000;

export interface RevocationParts {
  readonly database: Database;
  readonly clock: Clock;
  /** Whether other servers change the same tables. With an embedded database none does: then there is nothing to poll for. */
  readonly isShared: boolean;
  /** What is cached of these counts no more, and what they have open is to be ended. */
  readonly onRevoked: (revoked: Revoked) => void;
  /** The other servers of the installation: `send` has them read the table at once, `heard` is called when another one changed it. */
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
 * What the table `revocations` says, as of a second ago at most: which versions of users, sessions and keys count no more. The table is the only source:
 * a server that starts reads what its memory lost, and one that was cut off reads what it missed. What other servers tell only makes it read sooner.
 */
export class Revocations {
  readonly #parts: RevocationParts;
  readonly #others: ReturnType<RevocationParts['others']>;
  /** Newest known versions of users, and ended credentials; with the moment, as elapsed ms, until which a token may name them. */
  readonly #versions = new Map<string, { version: number; until: number }>();
  readonly #ended = new Map<string, number>();
  /** Every transaction below this one has ended, and was read. */
  #horizon = 0;
  /** Positions that were read but may come again: their transactions are not below the horizon. */
  #read: ReadonlySet<string> = new Set();
  #currentAt: number | null = null;
  /** Something was changed here, and could not be read again yet. */
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

  /** Reads what happened before, and then what happens. Rejects when the table cannot be read. */
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
   * To be awaited after each change of the tables that may have revoked something: it counts here when this resolves, and within moments elsewhere. Where
   * the table cannot be read meanwhile, nothing that is cached counts until it can.
   */
  async changed(): Promise<void> {
    this.#others.publish('changed');
    if (await this.#catchUpQuietly()) return;
    this.#isBehind = true;
    this.#poll();
  }

  /** @throws ApiProblem while it is not known what was revoked lately */
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

  /** Whether something was revoked that this caller’s rights come from. */
  isRevoked({ user, version, credential }: Pick<Principal, 'user' | 'version' | 'credential'>): boolean {
    if (credential !== null && this.#ended.has(credential)) return true;
    return user !== null && version !== null && version < (this.#versions.get(user)?.version ?? 0);
  }

  #poll(): void {
    this.#cancelPoll?.();
    if (this.#isClosed || (!this.#parts.isShared && !this.#isBehind)) return;
    this.#cancelPoll = this.#parts.clock.after(POLL_MS, () => void this.#catchUpQuietly().then(() => this.#poll()));
  }

  /** Whether it could be read. */
  async #catchUpQuietly(): Promise<boolean> {
    if (this.#isClosed) return false;
    try {
      await this.#catchUp();
      this.#isFailing = false;
      return true;
    } catch (error) {
      // Once for each outage, not for each second of it.
      if (!this.#isFailing && !this.#isClosed) this.#parts.onFailure('revoked sessions, tokens and keys cannot be read', error);
      this.#isFailing = true;
      return false;
    }
  }

  /** Resolves when everything is read that was committed before the call. */
  #catchUp(): Promise<void> {
    // One that is under way may have begun before that: whoever comes meanwhile shares the one after it.
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
    // The tables were restored to another database server, whose transactions have other numbers.
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

  /** No token can name any more what was revoked so long ago. */
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
