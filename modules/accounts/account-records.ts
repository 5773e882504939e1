import type { AccountSnapshot } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { eq, sql } from 'drizzle-orm';
import { accountSnapshots, users } from './tables/tables.ts';

/** The state of an account that all servers of an installation share. */
export interface AccountRecord {
  readonly tenant: string;
  /** Epoch ms; when the user was created. */
  readonly createdAt: number;
  /** The newest snapshot, of any server. Null until one exists. */
  readonly snapshot: AccountSnapshot | null;
  /** Whether this server creates the account in its log and publishes `account.created`. */
  readonly isCreatedHere: boolean;
}

interface FoundRow {
  readonly tenant: string;
  readonly createdAt: Date;
  /** Null until the record exists, like the fields below. */
  readonly createdBy: string | null;
  readonly revision: number | null;
  readonly snapshot: AccountSnapshot | null;
}

/** Name of a server that does not share its tables. */
const ONLY_SERVER = '';

/**
 * The record of each account in the relational store, shared by all servers. Each server has its own log of accounts, so the record decides what users
 * see; a zone that is behind the record adopts it.
 */
export class AccountRecords {
  readonly #database: Database;
  readonly #server: string;

  /** @param server name of this server where several share the tables, otherwise null */
  constructor(database: Database, server: string | null) {
    this.#database = database;
    this.#server = server ?? ONLY_SERVER;
  }

  /** The record of a user; undefined for an unknown user. The server that calls first creates the account. */
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
   * Records a snapshot as the newest. Changes nothing when the newest record has the same request, as after a crash.
   * @param snapshot with the newest revision that this server knows; the stored one is higher
   * @returns the newest snapshot
   */
  async save(user: string, snapshot: AccountSnapshot): Promise<AccountSnapshot> {
    const { request } = snapshot;
    // A database restored from a backup may have a lower revision than the servers.
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
   * Records a snapshot of this server with its revision, for a table that was restored from an older backup. The table keeps its own snapshot unless this
   * one is newer (`isNewer`), so several servers may call this in any order.
   * @returns the newest snapshot
   */
  async restore(user: string, snapshot: AccountSnapshot): Promise<AccountSnapshot> {
    const { request, generatedAt } = snapshot;
    // Snapshots from before this table existed have no revision.
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
    // No row: the user was deleted at the same moment. The next attempt reports it.
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
