import { hash, randomBytes, randomUUID } from 'node:crypto';
import {
  type ApiKey,
  actingRole,
  isRole,
  type NewApiKey,
  type Permission,
  type Principal,
  permissionsOf,
  type Role,
  type Tier,
} from '@millrace/contracts';
import type { Database, Statements, Transaction } from '@millrace/database';
import type { Clock } from '@millrace/kernel';
import { and, asc, count, desc, eq } from 'drizzle-orm';
import { apiKeys, tenants, users } from './tables/tables.ts';
import { hasTwoFactor } from './user-store.ts';

/** Prefix of all keys, so that people and secret scanners recognise them. */
export const KEY_PREFIX = 'mill_';
const KEY_BYTES = 32;
const KEY_CHARACTERS = KEY_PREFIX.length + Math.ceil((KEY_BYTES * 4) / 3);
const START_CHARACTERS = KEY_PREFIX.length + 6;
/** How long a key is cached after a lookup, unless this process changes it. */
const REMEMBERED_MS = 10_000;
const REMEMBERED_MAX = 10_000;
/** Minimum time between two updates of the last use of a key. */
const USE_NOTED_MS = 60_000;

interface Remembered {
  readonly principal: Principal | null;
  readonly id: string;
  readonly expiresAt: number;
  readonly until: number;
  notedAt: number;
}

/** API keys: 256 random bits each. Only their hashes are stored. */
export class ApiKeys {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #twoFactorRequired: boolean;
  /** By the key itself, not its hash: hashing for each request would cost as much as the rest of the check. */
  readonly #remembered = new Map<string, Remembered>();
  readonly #looking = new Map<string, Promise<Remembered>>();
  /** Number of changes, to detect one during a lookup. */
  #generation = 0;

  /** @param twoFactorRequired true if operators and administrators need two-factor authentication */
  constructor(database: Database, clock: Clock, twoFactorRequired: boolean) {
    this.#database = database;
    this.#clock = clock;
    this.#twoFactorRequired = twoFactorRequired;
  }

  /**
   * Creates a key unless the user has `keysMax` already. Requests at the same time do not create more.
   * @returns null when the user has that many
   */
  async create(
    user: string,
    about: { name: string; scopes: readonly Permission[]; expiresAt: number },
    keysMax: number,
    transaction: Transaction,
  ): Promise<NewApiKey | null> {
    await transaction.select({ id: users.id }).from(users).where(eq(users.id, user)).for('no key update');
    if ((await this.count(user, transaction)) >= keysMax) return null;
    const key = KEY_PREFIX + randomBytes(KEY_BYTES).toString('base64url');
    const row = {
      id: randomUUID(),
      hash: hashOf(key),
      start: key.slice(0, START_CHARACTERS),
      name: about.name,
      userId: user,
      scopes: about.scopes,
      createdAt: new Date(this.#clock.now()),
      expiresAt: new Date(about.expiresAt),
      lastUsedAt: null,
    };
    await transaction.insert(apiKeys).values(row);
    return { ...shown(row), key };
  }

  async list(user: string): Promise<ApiKey[]> {
    const rows = await this.#database.drizzle
      .select()
      .from(apiKeys)
      .where(eq(apiKeys.userId, user))
      .orderBy(desc(apiKeys.createdAt), asc(apiKeys.id));
    return rows.map(shown);
  }

  async count(user: string, statements: Statements = this.#database.drizzle): Promise<number> {
    const [row] = await statements.select({ keys: count() }).from(apiKeys).where(eq(apiKeys.userId, user));
    return row?.keys ?? 0;
  }

  /** @returns false when the user has no such key */
  async revoke(user: string, id: string, statements: Statements = this.#database.drizzle): Promise<boolean> {
    const gone = await statements
      .delete(apiKeys)
      .where(and(eq(apiKeys.id, id), eq(apiKeys.userId, user)))
      .returning({ id: apiKeys.id });
    return gone.length > 0;
  }

  /** Revokes all keys of a user. @returns their number */
  async revokeAll(user: string): Promise<number> {
    const gone = await this.#database.drizzle.delete(apiKeys).where(eq(apiKeys.userId, user)).returning({ id: apiKeys.id });
    return gone.length;
  }

  /** Clears the cache after a change of an owner. */
  forget(): void {
    this.#generation++;
    this.#remembered.clear();
    // A lookup in progress may have read the rows before the change.
    this.#looking.clear();
  }

  /** The principal of a key, or null when the key is unknown, expired or revoked. Synchronous for a cached key. */
  identify(key: string): Principal | null | Promise<Principal | null> {
    // Values that cannot be a key are neither looked up nor cached, so that many of them cost nothing.
    if (key.length !== KEY_CHARACTERS) return null;
    const known = this.#remembered.get(key);
    if (known && known.until > this.#clock.elapsed()) return this.#used(known);
    return this.#lookUpOnce(key).then((found) => this.#used(found));
  }

  #used(found: Remembered): Principal | null {
    const now = this.#clock.now();
    if (!found.principal || found.expiresAt <= now) return null;
    if (now - found.notedAt > USE_NOTED_MS) {
      found.notedAt = now;
      // Not awaited: a cached key works while the database is unavailable.
      this.#database.drizzle
        .update(apiKeys)
        .set({ lastUsedAt: new Date(now) })
        .where(eq(apiKeys.id, found.id))
        .catch(() => {});
    }
    return found.principal;
  }

  /** Concurrent requests with one key share one lookup. */
  #lookUpOnce(key: string): Promise<Remembered> {
    let looking = this.#looking.get(key);
    if (!looking) {
      const begun = this.#lookUp(key).finally(() => {
        if (this.#looking.get(key) === begun) this.#looking.delete(key);
      });
      looking = begun;
      this.#looking.set(key, begun);
    }
    return looking;
  }

  async #lookUp(key: string): Promise<Remembered> {
    const generation = this.#generation;
    const [row] = await this.#database.drizzle
      .select({
        key: apiKeys,
        role: users.role,
        tenant: users.tenant,
        name: users.name,
        version: users.version,
        disabled: users.disabled,
        tier: tenants.tier,
        hasTwoFactor,
      })
      .from(apiKeys)
      .innerJoin(users, eq(users.id, apiKeys.userId))
      .innerJoin(tenants, eq(tenants.id, users.tenant))
      .where(eq(apiKeys.hash, hashOf(key)));
    const found: Remembered = {
      principal:
        row && !row.disabled && isRole(row.role)
          ? principalOf({ ...row, role: row.role, acting: actingRole(row.role, row.hasTwoFactor, this.#twoFactorRequired) })
          : null,
      id: row?.key.id ?? '',
      expiresAt: row?.key.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
      until: this.#clock.elapsed() + REMEMBERED_MS,
      notedAt: row?.key.lastUsedAt?.getTime() ?? 0,
    };
    // The change may concern a row that was read before it.
    if (generation !== this.#generation) return this.#lookUp(key);
    this.#remembered.delete(key);
    this.#remembered.set(key, found);
    const oldest = this.#remembered.keys().next();
    if (this.#remembered.size > REMEMBERED_MAX && !oldest.done) this.#remembered.delete(oldest.value);
    return found;
  }
}

function principalOf({
  key,
  role,
  acting,
  tenant,
  name,
  tier,
  version,
}: {
  key: typeof apiKeys.$inferSelect;
  role: Role;
  acting: Role;
  tenant: string;
  name: string;
  tier: string;
  version: number;
}): Principal {
  return {
    kind: 'key',
    user: key.userId,
    name: `${name} (key ${key.name})`,
    tenant,
    role,
    tier: tier as Tier,
    permissions: permissionsOf(acting, tenant, key.scopes),
    lacksTwoFactor: acting !== role,
    credential: key.id,
    expiresAt: key.expiresAt?.getTime() ?? null,
    version,
  };
}

function shown({ id, name, start, scopes, createdAt, expiresAt, lastUsedAt }: typeof apiKeys.$inferSelect): ApiKey {
  return {
    id,
    name,
    start,
    scopes: [...scopes],
    createdAt: createdAt.getTime(),
    expiresAt: expiresAt?.getTime() ?? null,
    lastUsedAt: lastUsedAt?.getTime() ?? null,
  };
}

const hashOf = (key: string) => hash('sha256', key, 'base64url');
