import { createHash, randomBytes, randomUUID } from 'node:crypto';
import {
  HOME_TENANT,
  type Passkey,
  type PendingInvitation,
  type Role,
  type Tenant,
  type Tier,
  type User,
  type UserSession,
} from '@millrace/contracts';
import type { Database, Statements, Transaction } from '@millrace/database';
import { and, asc, count, desc, eq, gt, isNotNull, isNull, ne, or, type SQL, sql } from 'drizzle-orm';
import { losesAdministrator } from './administrators.ts';
import { invitations, tenants, userPasskeys, userSessions, users } from './tables/tables.ts';

const INVITATION_MS = 7 * 86_400_000;
const TOKEN_BYTES = 32;
/** Expired sessions that one statement deletes. */
const DELETED_SESSIONS_MAX = 5_000;
/** Id of the invitation of the first administrator. */
const FIRST_OWNER = 'first-owner';
/** Time after which a started sign-up has either created its user or died with its server. */
const SIGN_UP_MS_MAX = 60_000;

/** The tenant and role that an invitation grants. `email` limits it to one address. */
export interface InvitationGrant {
  readonly id: string;
  readonly tenant: string;
  readonly role: Role;
  readonly email: string | null;
}

/** Number of passkeys of a user. Columns are named in full, because drizzle omits the table name in a query on one table. */
const passkeyCount: SQL<number> = sql`(select count(*) from user_passkeys where user_passkeys.user_id = users.id)`.mapWith(Number);
/** True if the user has two-factor authentication or a passkey. */
export const hasTwoFactor: SQL<boolean> = sql<boolean>`(${users.twoFactorEnabled} or ${passkeyCount} > 0)`;

/** Tenants, their users, and invitations, in the relational database. */
export class UserStore {
  readonly #database: Database;
  readonly #tiers = new Map<string, Tier>();
  /** Number of changes of tiers, to detect one during a read. */
  #tierGeneration = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Creates the home tenant if it does not exist. */
  async createHomeTenant(): Promise<void> {
    await this.#database.drizzle
      .insert(tenants)
      .values({ id: HOME_TENANT, name: 'Main', tier: 'enterprise', createdAt: new Date() })
      .onConflictDoNothing();
  }

  async tierOf(tenant: string): Promise<Tier> {
    const known = this.#tiers.get(tenant);
    if (known) return known;
    const generation = this.#tierGeneration;
    const [row] = await this.#database.drizzle.select({ tier: tenants.tier }).from(tenants).where(eq(tenants.id, tenant));
    // The tier may have changed after the row was read.
    if (generation !== this.#tierGeneration) return this.tierOf(tenant);
    const tier = (row?.tier ?? 'free') as Tier;
    this.#tiers.set(tenant, tier);
    return tier;
  }

  /** Clears the tier cache, because a tier may have changed. */
  forgetTiers(): void {
    this.#tierGeneration++;
    this.#tiers.clear();
  }

  async tenants(): Promise<Tenant[]> {
    const rows = await this.#database.drizzle
      .select({ id: tenants.id, name: tenants.name, tier: tenants.tier, createdAt: tenants.createdAt, users: count(users.id) })
      .from(tenants)
      .leftJoin(users, eq(users.tenant, tenants.id))
      .groupBy(tenants.id)
      .orderBy(asc(tenants.createdAt), asc(tenants.id));
    return rows.map((row) => ({ ...row, tier: row.tier as Tier, createdAt: row.createdAt.getTime() }));
  }

  async tenantExists(tenant: string): Promise<boolean> {
    return (await this.#database.drizzle.select({ id: tenants.id }).from(tenants).where(eq(tenants.id, tenant))).length > 0;
  }

  /** Creates a tenant. Returns false when the id is taken. */
  async createTenant(tenant: { id: string; name: string; tier: Tier }, statements: Statements): Promise<boolean> {
    const created = await statements
      .insert(tenants)
      .values({ ...tenant, createdAt: new Date() })
      .onConflictDoNothing()
      .returning({ id: tenants.id });
    return created.length > 0;
  }

  /** Call `forgetTiers` after the transaction. */
  async updateTenant(
    tenant: string,
    change: { name?: string | undefined; tier?: Tier | undefined },
    transaction: Transaction,
  ): Promise<void> {
    if (change.name === undefined && change.tier === undefined) return;
    await transaction.update(tenants).set(change).where(eq(tenants.id, tenant));
  }

  async listUsers(tenant: string): Promise<User[]> {
    const rows = await this.#database.drizzle
      .select({ user: users, passkeys: passkeyCount })
      .from(users)
      .where(eq(users.tenant, tenant))
      .orderBy(asc(users.createdAt), asc(users.id));
    return rows.map(userOf);
  }

  async userIn(tenant: string, id: string, statements: Statements = this.#database.drizzle): Promise<User | null> {
    const [row] = await statements
      .select({ user: users, passkeys: passkeyCount })
      .from(users)
      .where(and(eq(users.id, id), eq(users.tenant, tenant)));
    return row ? userOf(row) : null;
  }

  /** A user of any tenant. */
  async user(
    id: string,
  ): Promise<{ name: string; email: string; tenant: string; role: Role; disabled: boolean; hasTwoFactor: boolean } | null> {
    const [row] = await this.#database.drizzle
      .select({
        name: users.name,
        email: users.email,
        tenant: users.tenant,
        role: users.role,
        disabled: users.disabled,
        hasTwoFactor,
      })
      .from(users)
      .where(eq(users.id, id));
    return row ?? null;
  }

  /** Version of a user; null for an unknown user. */
  async versionOf(id: string): Promise<number | null> {
    const [row] = await this.#database.drizzle.select({ version: users.version }).from(users).where(eq(users.id, id));
    return row?.version ?? null;
  }

  /** Whether a passkey exists. @param credential its id in the browser */
  async passkeyExists(credential: string): Promise<boolean> {
    const found = await this.#database.drizzle
      .select({ id: userPasskeys.id })
      .from(userPasskeys)
      .where(eq(userPasskeys.credentialID, credential));
    return found.length > 0;
  }

  /** True if the tenant has another enabled administrator. */
  async #hasOtherAdmin(tenant: string, id: string, statements: Statements): Promise<boolean> {
    const others = await statements
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.tenant, tenant), eq(users.role, 'admin'), eq(users.disabled, false), ne(users.id, id)))
      .limit(1);
    return others.length > 0;
  }

  /**
   * Changes role or status. Disabling ends all sessions of the user.
   * @returns the changed user; null for an unknown user; `last-administrator` when the tenant would have no enabled administrator
   */
  async updateUser(
    tenant: string,
    id: string,
    change: { role?: Role | undefined; disabled?: boolean | undefined },
    transaction: Transaction,
  ): Promise<User | null | 'last-administrator'> {
    // Changes of a tenant's users run one after another: otherwise two administrators could remove each other.
    await transaction.select({ id: tenants.id }).from(tenants).where(eq(tenants.id, tenant)).for('no key update');
    const before = await this.userIn(tenant, id, transaction);
    if (!before) return null;
    if (losesAdministrator(before, change) && !(await this.#hasOtherAdmin(tenant, id, transaction))) return 'last-administrator';
    if (change.role !== undefined || change.disabled !== undefined)
      await transaction
        .update(users)
        .set({ ...change, updatedAt: new Date() })
        .where(and(eq(users.id, id), eq(users.tenant, tenant)));
    if (change.disabled) await transaction.delete(userSessions).where(eq(userSessions.userId, id));
    return this.userIn(tenant, id, transaction);
  }

  async sessions(user: string, own: string | null): Promise<UserSession[]> {
    const rows = await this.#database.drizzle
      .select()
      .from(userSessions)
      .where(and(eq(userSessions.userId, user), gt(userSessions.expiresAt, new Date())))
      .orderBy(desc(userSessions.createdAt), asc(userSessions.id));
    return rows.map(({ id, createdAt, expiresAt, ipAddress, userAgent }) => ({
      id,
      isThis: id === own,
      createdAt: createdAt.getTime(),
      expiresAt: expiresAt.getTime(),
      remote: ipAddress ?? '',
      agent: userAgent ?? '',
    }));
  }

  /** Deletes sessions that have expired. Their streams have ended, and no cookie of theirs is accepted. */
  async deleteExpiredSessions(): Promise<void> {
    for (let deleted = DELETED_SESSIONS_MAX; deleted === DELETED_SESSIONS_MAX; ) {
      const { rowCount } = await this.#database.drizzle.execute(sql`
        delete from ${userSessions} where id in (select id from ${userSessions} where expires_at < now() limit ${DELETED_SESSIONS_MAX})`);
      deleted = rowCount ?? 0;
    }
  }

  /** Returns false when the user has no such session. */
  async deleteSession(user: string, id: string, statements: Statements): Promise<boolean> {
    const deleted = await statements
      .delete(userSessions)
      .where(and(eq(userSessions.id, id), eq(userSessions.userId, user)))
      .returning({ id: userSessions.id });
    return deleted.length > 0;
  }

  async passkeys(user: string): Promise<Passkey[]> {
    const rows = await this.#database.drizzle
      .select()
      .from(userPasskeys)
      .where(eq(userPasskeys.userId, user))
      .orderBy(desc(userPasskeys.createdAt), asc(userPasskeys.id));
    return rows.map(({ id, name, backedUp, createdAt }) => ({
      id,
      name: name ?? '',
      isSynced: backedUp,
      createdAt: createdAt?.getTime() ?? 0,
    }));
  }

  /** Deletes a passkey and ends the user’s other sessions, which the device may have opened. Returns false when there is no such passkey. */
  async deletePasskey(user: string, id: string, own: string | null, transaction: Transaction): Promise<boolean> {
    const deleted = await transaction
      .delete(userPasskeys)
      .where(and(eq(userPasskeys.id, id), eq(userPasskeys.userId, user)))
      .returning({ id: userPasskeys.id });
    if (deleted.length === 0) return false;
    await transaction.delete(userSessions).where(and(eq(userSessions.userId, user), ne(userSessions.id, own ?? '')));
    return true;
  }

  async hasUsers(): Promise<boolean> {
    return (await this.#database.drizzle.select({ id: users.id }).from(users).limit(1)).length > 0;
  }

  /** @returns the one-time token of the invitation */
  async createInvitation(
    invitation: { tenant: string; role: Role; email: string | null; invitedBy: string },
    statements: Statements,
  ): Promise<{ id: string; token: string; createdAt: number; expiresAt: number }> {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const now = Date.now();
    const id = randomUUID();
    await statements.insert(invitations).values({
      id,
      wordHash: hashOf(token),
      ...invitation,
      createdAt: new Date(now),
      expiresAt: new Date(now + INVITATION_MS),
    });
    return { id, token, createdAt: now, expiresAt: now + INVITATION_MS };
  }

  /** Invitations of a tenant that can still be used, newest first. */
  async pendingInvitations(tenant: string): Promise<PendingInvitation[]> {
    const found = await this.#database.drizzle
      .select({ invitation: invitations, inviter: users.name })
      .from(invitations)
      .leftJoin(users, eq(users.id, invitations.invitedBy))
      .where(and(eq(invitations.tenant, tenant), isPending()))
      .orderBy(desc(invitations.createdAt), invitations.id);
    return found.map(({ invitation: { id, role, email, invitedBy, createdAt, expiresAt }, inviter }) => ({
      id,
      role,
      email,
      invitedBy: inviter ?? invitedBy,
      createdAt: createdAt.getTime(),
      expiresAt: expiresAt.getTime(),
    }));
  }

  /** Deletes a pending invitation. @returns what it granted; null when the tenant has no such invitation */
  async deleteInvitation(tenant: string, id: string, statements: Statements): Promise<InvitationGrant | null> {
    const [deleted] = await statements
      .delete(invitations)
      .where(and(eq(invitations.id, id), eq(invitations.tenant, tenant), isPending()))
      .returning(grantColumns);
    return deleted ?? null;
  }

  /** Makes an invitation that a sign-up is using invalid if that sign-up fails. */
  async expireUsedInvitation(tenant: string, id: string): Promise<void> {
    await this.#database.drizzle
      .update(invitations)
      .set({ expiresAt: new Date() })
      .where(and(eq(invitations.id, id), eq(invitations.tenant, tenant), isNotNull(invitations.usedAt)));
  }

  /** The invitation with this token; null when it is unknown, used, expired, or for another address. */
  async validInvitation(token: string, email: string): Promise<InvitationGrant | null> {
    const [found] = await this.#database.drizzle.select(grantColumns).from(invitations).where(isValid(token, email));
    return found ?? null;
  }

  /** Marks the invitation as used. Null as in `validInvitation`, so that one token works once. */
  async acceptInvitation(token: string, email: string): Promise<InvitationGrant | null> {
    const [taken] = await this.#database.drizzle
      .update(invitations)
      .set({ usedAt: new Date() })
      .where(isValid(token, email))
      .returning(grantColumns);
    return taken ?? null;
  }

  /** Makes an accepted invitation usable again after a failed sign-up. */
  async releaseInvitation({ id }: InvitationGrant): Promise<void> {
    await this.#database.drizzle.update(invitations).set({ usedAt: null }).where(eq(invitations.id, id));
  }

  /**
   * Invites the first administrator of the home tenant. There is one such invitation: a newer one replaces it, and none is created once there are users or
   * while somebody signs up with it.
   * @returns the one-time token of the invitation, or null
   */
  async inviteFirstOwner(): Promise<string | null> {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const now = Date.now();
    const created = await this.#database.drizzle.execute(sql`
      insert into ${invitations} (id, word_hash, tenant, role, email, invited_by, created_at, expires_at, used_at)
      select ${FIRST_OWNER}, ${hashOf(token)}, ${HOME_TENANT}, 'admin', null, 'the first start', ${new Date(now)}, ${new Date(now + INVITATION_MS)}, null
      where not exists (select from ${users})
      on conflict (id) do update
        set word_hash = excluded.word_hash, created_at = excluded.created_at, expires_at = excluded.expires_at, used_at = null
        where invitations.used_at is null or invitations.used_at < ${new Date(now - SIGN_UP_MS_MAX)}
      returning id`);
    if (created.rows.length > 0) return token;
    await this.#database.drizzle.execute(sql`
      delete from ${invitations} where id = ${FIRST_OWNER} and used_at is null and exists (select from ${users})`);
    return null;
  }
}

function userOf({ user, passkeys }: { user: typeof users.$inferSelect; passkeys: number }): User {
  const { id, name, email, role, disabled, twoFactorEnabled, createdAt } = user;
  return { id, name, email, role, disabled, twoFactorEnabled: twoFactorEnabled, passkeys, createdAt: createdAt.getTime() };
}

const grantColumns = { id: invitations.id, tenant: invitations.tenant, role: invitations.role, email: invitations.email };

const isPending = () => and(isNull(invitations.usedAt), gt(invitations.expiresAt, new Date()));

function isValid(token: string, email: string): SQL | undefined {
  const isFor = or(isNull(invitations.email), eq(invitations.email, email));
  return and(eq(invitations.wordHash, hashOf(token)), isPending(), isFor);
}

const hashOf = (token: string) => createHash('sha256').update(token).digest('base64url');
