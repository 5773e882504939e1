import { createHash, randomBytes, randomUUID } from 'node:crypto';
import {
  HOME_TENANT,
  type Member,
  type Passkey,
  type PendingInvitation,
  type Role,
  type Tenant,
  type Tier,
  type UserSession,
} from '@millrace/contracts';
import type { Database } from '@millrace/platform/database';
import { and, asc, count, desc, eq, gt, isNull, ne, or, type SQL, sql } from 'drizzle-orm';
import { invitations, tenants, userPasskeys, userSessions, users } from './tables/tables.ts';

const INVITATION_MS = 7 * 86_400_000;
const WORD_BYTES = 32;
/** Id of the one invitation that is for the first administrator. */
const FIRST_OWNER = 'first-owner';
/** Whoever signs up with an invitation is a user by then, or its server is gone. */
const SIGN_UP_MS_MAX = 60_000;

/** What an invitation lets one become. */
export interface Welcome {
  readonly id: string;
  readonly tenant: string;
  readonly role: Role;
  readonly email: string | null;
}

/** How many passkeys a user has. Columns are named in full: of one table alone drizzle would leave its name out. */
const passkeyCount: SQL<number> = sql`(select count(*) from user_passkeys where user_passkeys.user_id = users.id)`.mapWith(Number);
/** Whether a user has more than a password to show who it is. */
export const hasSecondFactor: SQL<boolean> = sql<boolean>`(${users.twoFactorEnabled} or ${passkeyCount} > 0)`;

/** Tenants, who belongs to them, and who is invited. */
export class Members {
  readonly #database: Database;
  readonly #tiers = new Map<string, Tier>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Makes the home tenant where there is none. */
  async begin(): Promise<void> {
    await this.#database.drizzle
      .insert(tenants)
      .values({ id: HOME_TENANT, name: 'Main', tier: 'enterprise', createdAt: new Date() })
      .onConflictDoNothing();
  }

  async tierOf(tenant: string): Promise<Tier> {
    const known = this.#tiers.get(tenant);
    if (known) return known;
    const [row] = await this.#database.drizzle.select({ tier: tenants.tier }).from(tenants).where(eq(tenants.id, tenant));
    const tier = (row?.tier ?? 'free') as Tier;
    this.#tiers.set(tenant, tier);
    return tier;
  }

  /** Another server may have changed them. */
  forgetTiers(): void {
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

  async exists(tenant: string): Promise<boolean> {
    return (await this.#database.drizzle.select({ id: tenants.id }).from(tenants).where(eq(tenants.id, tenant))).length > 0;
  }

  /** Whether there was none of that name. */
  async found(tenant: { id: string; name: string; tier: Tier }): Promise<boolean> {
    const made = await this.#database.drizzle
      .insert(tenants)
      .values({ ...tenant, createdAt: new Date() })
      .onConflictDoNothing()
      .returning({ id: tenants.id });
    return made.length > 0;
  }

  async updateTenant(tenant: string, change: { name?: string | undefined; tier?: Tier | undefined }): Promise<void> {
    if (change.name === undefined && change.tier === undefined) return;
    await this.#database.drizzle.update(tenants).set(change).where(eq(tenants.id, tenant));
    this.#tiers.delete(tenant);
  }

  async members(tenant: string): Promise<Member[]> {
    const rows = await this.#database.drizzle
      .select({ user: users, passkeys: passkeyCount })
      .from(users)
      .where(eq(users.tenant, tenant))
      .orderBy(asc(users.createdAt), asc(users.id));
    return rows.map(shown);
  }

  async member(tenant: string, id: string): Promise<Member | null> {
    const [row] = await this.#database.drizzle
      .select({ user: users, passkeys: passkeyCount })
      .from(users)
      .where(and(eq(users.id, id), eq(users.tenant, tenant)));
    return row ? shown(row) : null;
  }

  /** A user, whatever its tenant. */
  async user(
    id: string,
  ): Promise<{ name: string; email: string; tenant: string; role: Role; disabled: boolean; hasSecondFactor: boolean } | null> {
    const [row] = await this.#database.drizzle
      .select({
        name: users.name,
        email: users.email,
        tenant: users.tenant,
        role: users.role,
        disabled: users.disabled,
        hasSecondFactor,
      })
      .from(users)
      .where(eq(users.id, id));
    return row ?? null;
  }

  /** Whether the tenant would still have an administrator who may come in, without this one. */
  async hasOtherAdmin(tenant: string, id: string): Promise<boolean> {
    const others = await this.#database.drizzle
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.tenant, tenant), eq(users.role, 'admin'), eq(users.disabled, false), ne(users.id, id)))
      .limit(1);
    return others.length > 0;
  }

  /** Who is disabled loses all sessions. */
  async updateUser(
    tenant: string,
    id: string,
    change: { role?: Role | undefined; disabled?: boolean | undefined },
  ): Promise<Member | null> {
    await this.#database.drizzle.transaction(async (transaction) => {
      if (change.role !== undefined || change.disabled !== undefined)
        await transaction
          .update(users)
          .set({ ...change, updatedAt: new Date() })
          .where(and(eq(users.id, id), eq(users.tenant, tenant)));
      if (change.disabled) await transaction.delete(userSessions).where(eq(userSessions.userId, id));
    });
    return this.member(tenant, id);
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

  /** Whether that user had such a session. */
  async deleteSession(user: string, id: string): Promise<boolean> {
    const gone = await this.#database.drizzle
      .delete(userSessions)
      .where(and(eq(userSessions.id, id), eq(userSessions.userId, user)))
      .returning({ id: userSessions.id });
    return gone.length > 0;
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

  /** Removes a passkey of that user, and ends its other sessions: who has the device may have opened them. Whether there was such a passkey. */
  async deletePasskey(user: string, id: string, own: string | null): Promise<boolean> {
    return this.#database.drizzle.transaction(async (transaction) => {
      const gone = await transaction
        .delete(userPasskeys)
        .where(and(eq(userPasskeys.id, id), eq(userPasskeys.userId, user)))
        .returning({ id: userPasskeys.id });
      if (gone.length === 0) return false;
      await transaction.delete(userSessions).where(and(eq(userSessions.userId, user), ne(userSessions.id, own ?? '')));
      return true;
    });
  }

  async hasUsers(): Promise<boolean> {
    return (await this.#database.drizzle.select({ id: users.id }).from(users).limit(1)).length > 0;
  }

  /** @returns the word that lets someone in once */
  async createInvitation(invitation: {
    tenant: string;
    role: Role;
    email: string | null;
    invitedBy: string;
  }): Promise<{ id: string; word: string; createdAt: number; expiresAt: number }> {
    const word = randomBytes(WORD_BYTES).toString('base64url');
    const now = Date.now();
    const id = randomUUID();
    await this.#database.drizzle.insert(invitations).values({
      id,
      wordHash: hashOf(word),
      ...invitation,
      createdAt: new Date(now),
      expiresAt: new Date(now + INVITATION_MS),
    });
    return { id, word, createdAt: now, expiresAt: now + INVITATION_MS };
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

  /** Makes a pending invitation useless. @returns whom it was for; null when there is none in that tenant */
  async withdraw(tenant: string, id: string): Promise<Welcome | null> {
    const [gone] = await this.#database.drizzle
      .delete(invitations)
      .where(and(eq(invitations.id, id), eq(invitations.tenant, tenant), isPending()))
      .returning(welcome);
    return gone ?? null;
  }

  /** The invitation that lets someone with that address in; null when there is none, or it was used, has expired, or is for another address. */
  async invitation(word: string, email: string): Promise<Welcome | null> {
    const [found] = await this.#database.drizzle.select(welcome).from(invitations).where(isValid(word, email));
    return found ?? null;
  }

  /** Takes it, once; null as above. */
  async accept(word: string, email: string): Promise<Welcome | null> {
    const [taken] = await this.#database.drizzle
      .update(invitations)
      .set({ usedAt: new Date() })
      .where(isValid(word, email))
      .returning(welcome);
    return taken ?? null;
  }

  /** Gives an invitation back: nothing came of it. */
  async giveBack({ id }: Welcome): Promise<void> {
    await this.#database.drizzle.update(invitations).set({ usedAt: null }).where(eq(invitations.id, id));
  }

  /**
   * Invites the first administrator of the home tenant. There is one such invitation: a newer one replaces it, and none is made once there are users or
   * while somebody signs up with it.
   * @returns the word that lets someone in once, or null
   */
  async inviteFirstOwner(): Promise<string | null> {
    const word = randomBytes(WORD_BYTES).toString('base64url');
    const now = Date.now();
    const made = await this.#database.drizzle.execute(sql`
      insert into ${invitations} (id, word_hash, tenant, role, email, invited_by, created_at, expires_at, used_at)
      select ${FIRST_OWNER}, ${hashOf(word)}, ${HOME_TENANT}, 'admin', null, 'the first start', ${new Date(now)}, ${new Date(now + INVITATION_MS)}, null
      where not exists (select from ${users})
      on conflict (id) do update
        set word_hash = excluded.word_hash, created_at = excluded.created_at, expires_at = excluded.expires_at, used_at = null
        where invitations.used_at is null or invitations.used_at < ${new Date(now - SIGN_UP_MS_MAX)}
      returning id`);
    if (made.rows.length > 0) return word;
    await this.#database.drizzle.execute(sql`
      delete from ${invitations} where id = ${FIRST_OWNER} and used_at is null and exists (select from ${users})`);
    return null;
  }
}

function shown({ user, passkeys }: { user: typeof users.$inferSelect; passkeys: number }): Member {
  const { id, name, email, role, disabled, twoFactorEnabled, createdAt } = user;
  return { id, name, email, role, disabled, secondFactor: twoFactorEnabled, passkeys, createdAt: createdAt.getTime() };
}

const welcome = { id: invitations.id, tenant: invitations.tenant, role: invitations.role, email: invitations.email };

const isPending = () => and(isNull(invitations.usedAt), gt(invitations.expiresAt, new Date()));

function isValid(word: string, email: string): SQL | undefined {
  const isFor = or(isNull(invitations.email), eq(invitations.email, email));
  return and(eq(invitations.wordHash, hashOf(word)), isPending(), isFor);
}

const hashOf = (word: string) => createHash('sha256').update(word).digest('base64url');
