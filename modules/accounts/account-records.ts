import type { AccountSnapshot } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { eq, sql } from 'drizzle-orm';
import { accountSnapshots, users } from './tables/tables.ts';

/** What all servers of an installation agree on about an account. */
export interface AccountRecord {
  readonly tenant: string;
  /** Epoch ms; when the user was created. */
  readonly createdAt: number;
  /** The newest one, whichever server made it; null until there is one. */
  readonly snapshot: AccountSnapshot | null;
  /** Whether it is this server that creates the account in its log, and announces it. */
  readonly isCreatedHere: boolean;
}

interface FoundRow {
  readonly tenant: string;
  readonly createdAt: Date;
  /** Null, as what follows, until there is a record. */
  readonly createdBy: string | null;
  readonly revision: number | null;
  readonly snapshot: AccountSnapshot | null;
}

/** How a server is recorded that has the tables alone. */
const ONLY_SERVER = '';

/**
 * The record of each account in the relational store. Every server has a log of accounts of its own, so what users see must not depend on which log
 * is read: the record decides, and a zone whose log is behind takes it over.
 */
export class AccountRecords {
  readonly #database: Database;
  readonly #server: string;

  /** @param server name of this server where several share the tables, otherwise null */
  constructor(database: Database, server: string | null) {
    this.#database = database;
    this.#server = server ?? ONLY_SERVER;
  }

  /** The record of a user; undefined when there is no such user. The server that asks first is the one that creates the account. */
  async get(user: string): Promise<AccountRecord | undefined> {
    const found = await this.#find(user);
    if (!found || found.createdBy !== null) return found && this.#recordOf(found);
    await this.#database.drizzle
      .insert(accountSnapshots)
      .values({ userId: user, createdBy: this.#server, revision: 0 })
      .onConflictDoNothing();
    const made = await this.#find(user);
    return made && this.#recordOf(made);
  }

  /**
   * Records a snapshot as the newest. One whose request is the newest recorded already, as after a crash, changes nothing.
   * @param snapshot with the revision of the newest that this server knows; it gets a higher one
   * @returns the newest snapshot
   */
  async save(user: string, snapshot: AccountSnapshot): Promise<AccountSnapshot> {
    const { request } = snapshot;
    // A store that was set back to a backup may know fewer than the servers do.
    const next = sql`greatest(${accountSnapshots.revision}, ${snapshot.revision}::integer) + 1`;
    const [saved] = await this.#database.drizzle
      .insert(accountSnapshots)
      .values({ userId: user, createdBy: this.#server, revision: snapshot.revision + 1, request, snapshot })
      .onConflictDoUpdate({
        target: accountSnapshots.userId,
        set: { revision: next, request, snapshot },
        setWhere: sql`${accountSnapshots.request} is distinct from ${request}`,
      })
      .returning();
    if (saved) return { ...snapshot, revision: saved.revision };
    return this.#newest(user, request);
  }

  /**
   * Records a snapshot that this server knows and the table may lack, with the revision that it has: as after a restore of an older backup. The table keeps
   * what it has unless the snapshot is newer (`isNewer`), so several servers may do this in any order.
   * @returns the newest snapshot
   */
  async restore(user: string, snapshot: AccountSnapshot): Promise<AccountSnapshot> {
    const { request, generatedAt } = snapshot;
    // Snapshots of the time before this table have no revision yet.
    const revision = Math.max(1, snapshot.revision);
    const row = { revision, request, snapshot };
    const { revision: recorded, snapshot: content } = accountSnapshots;
    const isRecordedOlder = sql`${recorded} < ${revision} or (${recorded} = ${revision} and (${content}->>'generatedAt')::bigint < ${generatedAt})`;
    await this.#database.drizzle
      .insert(accountSnapshots)
      .values({ userId: user, createdBy: this.#server, ...row })
      .onConflictDoUpdate({ target: accountSnapshots.userId, set: row, setWhere: sql`${content} is null or ${isRecordedOlder}` });
    return this.#newest(user, request);
  }

  async #newest(user: string, request: string): Promise<AccountSnapshot> {
    const newest = (await this.get(user))?.snapshot;
    // Only a user that is deleted just now has none; the next attempt finds that out.
    if (!newest) throw new Error(`the snapshot ${request} of user ${user} was not recorded`);
    return newest;
  }

  async #find(user: string): Promise<FoundRow | undefined> {
    const [row] = await this.#database.drizzle
      .select({
        tenant: users.tenant,
        createdAt: users.createdAt,
        createdBy: accountSnapshots.createdBy,
        revision: accountSnapshots.revision,
        snapshot: accountSnapshots.snapshot,
      })
      .from(users)
      .leftJoin(accountSnapshots, eq(accountSnapshots.userId, users.id))
      .where(eq(users.id, user));
    return row;
  }

  #recordOf({ tenant, createdAt, createdBy, revision, snapshot }: FoundRow): AccountRecord {
    return {
      tenant,
      createdAt: createdAt.getTime(),
      snapshot: snapshot && { ...snapshot, revision: revision ?? 0 },
      isCreatedHere: createdBy === this.#server,
    };
  }
}
