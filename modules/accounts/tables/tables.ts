import type { AccountSnapshot, Permission, Role } from '@millrace/contracts';
import { sql } from 'drizzle-orm';
import { bigint, bigserial, boolean, index, integer, jsonb, pgTable, primaryKey, text, timestamp, uniqueIndex } from 'drizzle-orm/pg-core';

/*
 * Tables of users and authentication. Those of users, sessions, credentials, two-factor secrets, verification tokens and signing keys have the columns
 * of better-auth 1.7 under our names; the others are our own.
 */

const moment = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' });

export const tenants = pgTable('tenants', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  tier: text('tier').notNull(),
  createdAt: moment('created_at').notNull(),
});

export const users = pgTable(
  'users',
  {
    id: text('id').primaryKey(),
    name: text('name').notNull(),
    /** Key of the name, unique in the tenant; see contracts/display-name.ts. Null for a duplicate name from before the keys existed. */
    nameKey: text('name_key'),
    email: text('email').notNull(),
    emailVerified: boolean('email_verified').notNull().default(false),
    image: text('image'),
    createdAt: moment('created_at').notNull(),
    updatedAt: moment('updated_at').notNull(),
    twoFactorEnabled: boolean('second_factor').notNull().default(false),
    tenant: text('tenant')
      .notNull()
      .references(() => tenants.id),
    role: text('role').$type<Role>().notNull(),
    disabled: boolean('disabled').notNull().default(false),
    /** Version of the user’s permissions, raised by triggers. Access tokens contain it: those of an older version are revoked. */
    version: integer('version').notNull().default(1),
  },
  (table) => [
    uniqueIndex('users_email').on(table.email),
    index('users_tenant').on(table.tenant),
    uniqueIndex('users_name').on(table.tenant, table.nameKey),
  ],
);

const ofUser = () =>
  text('user_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' });

export const userSessions = pgTable(
  'user_sessions',
  {
    id: text('id').primaryKey(),
    token: text('token').notNull(),
    userId: ofUser(),
    expiresAt: moment('expires_at').notNull(),
    createdAt: moment('created_at').notNull(),
    updatedAt: moment('updated_at').notNull(),
    ipAddress: text('ip_address'),
    userAgent: text('user_agent'),
    /** True if the session was opened or confirmed with a two-factor code or a passkey. */
    twoFactor: boolean('second_factor').notNull().default(false),
  },
  (table) => [uniqueIndex('user_sessions_token').on(table.token), index('user_sessions_user').on(table.userId)],
);

export const userCredentials = pgTable(
  'user_credentials',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id').notNull(),
    providerId: text('provider_id').notNull(),
    userId: ofUser(),
    accessToken: text('access_token'),
    refreshToken: text('refresh_token'),
    idToken: text('id_token'),
    accessTokenExpiresAt: moment('access_token_expires_at'),
    refreshTokenExpiresAt: moment('refresh_token_expires_at'),
    scope: text('scope'),
    password: text('password'),
    createdAt: moment('created_at').notNull(),
    updatedAt: moment('updated_at').notNull(),
  },
  (table) => [
    index('user_credentials_user').on(table.userId),
    uniqueIndex('user_credentials_provider').on(table.providerId, table.accountId),
  ],
);

export const userVerifications = pgTable(
  'user_verifications',
  {
    id: text('id').primaryKey(),
    identifier: text('identifier').notNull(),
    value: text('value').notNull(),
    expiresAt: moment('expires_at').notNull(),
    createdAt: moment('created_at').notNull(),
    updatedAt: moment('updated_at').notNull(),
  },
  (table) => [index('user_verifications_identifier').on(table.identifier)],
);

export const userTwoFactors = pgTable(
  'user_second_factors',
  {
    id: text('id').primaryKey(),
    secret: text('secret').notNull(),
    backupCodes: text('backup_codes').notNull(),
    userId: ofUser(),
    verified: boolean('verified').default(true),
    failedVerificationCount: integer('failed_verification_count').default(0),
    lockedUntil: moment('locked_until'),
  },
  (table) => [index('user_second_factors_user').on(table.userId), index('user_second_factors_secret').on(table.secret)],
);

export const userPasskeys = pgTable(
  'user_passkeys',
  {
    id: text('id').primaryKey(),
    name: text('name'),
    publicKey: text('public_key').notNull(),
    userId: ofUser(),
    credentialID: text('credential_id').notNull(),
    counter: bigint('counter', { mode: 'number' }).notNull(),
    deviceType: text('device_type').notNull(),
    backedUp: boolean('backed_up').notNull(),
    transports: text('transports'),
    createdAt: moment('created_at'),
    aaguid: text('aaguid'),
  },
  (table) => [uniqueIndex('user_passkeys_credential').on(table.credentialID), index('user_passkeys_user').on(table.userId)],
);

export const signingKeys = pgTable('signing_keys', {
  id: text('id').primaryKey(),
  publicKey: text('public_key').notNull(),
  privateKey: text('private_key').notNull(),
  createdAt: moment('created_at').notNull(),
  expiresAt: moment('expires_at'),
  alg: text('alg'),
  crv: text('crv'),
});

/** Single-use invitation links, of the first owner and of invited users. Only the hash of the token is stored. */
export const invitations = pgTable(
  'invitations',
  {
    id: text('id').primaryKey(),
    wordHash: text('word_hash').notNull(),
    tenant: text('tenant')
      .notNull()
      .references(() => tenants.id),
    role: text('role').$type<Role>().notNull(),
    /** Null: anyone with the link may use it. */
    email: text('email'),
    invitedBy: text('invited_by').notNull(),
    createdAt: moment('created_at').notNull(),
    expiresAt: moment('expires_at').notNull(),
    usedAt: moment('used_at'),
  },
  (table) => [uniqueIndex('invitations_word').on(table.wordHash), index('invitations_tenant').on(table.tenant)],
);

/** API keys. Only the hash is stored. A key is 256 random bits, so a fast hash is sufficient. */
export const apiKeys = pgTable(
  'api_keys',
  {
    id: text('id').primaryKey(),
    hash: text('hash').notNull(),
    /** First characters of the key, by which its owner recognises it. */
    start: text('start').notNull(),
    name: text('name').notNull(),
    userId: ofUser(),
    scopes: jsonb('scopes').$type<readonly Permission[]>().notNull(),
    createdAt: moment('created_at').notNull(),
    expiresAt: moment('expires_at'),
    lastUsedAt: moment('last_used_at'),
  },
  (table) => [uniqueIndex('api_keys_hash').on(table.hash), index('api_keys_user').on(table.userId)],
);

/** Audit log. The hash of each entry covers the entry before it in its tenant, so that changed or removed entries are detected. */
export const auditEntries = pgTable(
  'audit_lines',
  {
    tenant: text('tenant').notNull(),
    number: bigint('number', { mode: 'number' }).notNull(),
    at: bigint('at', { mode: 'number' }).notNull(),
    /** Name of the user at that time; the id never changes. */
    actor: text('actor').notNull(),
    user: text('actor_id'),
    action: text('action').notNull(),
    subject: text('subject').notNull(),
    detail: jsonb('detail').$type<Record<string, unknown>>().notNull(),
    remote: text('remote').notNull(),
    trace: text('trace').notNull(),
    hash: text('hash').notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenant, table.number] })],
);

/** Failed and pending attempts by account and address; see lockout.ts. Epoch ms. */
export const failedAttempts = pgTable(
  'failed_attempts',
  {
    key: text('key').primaryKey(),
    failures: integer('failures').notNull(),
    lastAt: bigint('last_at', { mode: 'number' }).notNull(),
    lockedUntil: bigint('locked_until', { mode: 'number' }).notNull(),
  },
  (table) => [index('failed_attempts_last_at').on(table.lastAt)],
);

/** Recently used codes of authenticators, which are not accepted again. */
export const usedCodes = pgTable(
  'used_codes',
  { userId: ofUser(), code: text('code').notNull(), usedAt: moment('used_at').notNull().defaultNow() },
  (table) => [primaryKey({ columns: [table.userId, table.code] }), index('used_codes_used_at').on(table.usedAt)],
);

/**
 * Revocations, written by triggers in the transaction that revokes (migrations/0004_revocations.sql), so that no change of the tables can omit them.
 * Every server reads this table; see revocations.ts.
 */
export const revocations = pgTable(
  'revocations',
  {
    position: bigserial('position', { mode: 'number' }).primaryKey(),
    /** Transaction id of the writer: rows become visible in commit order, not in the order of their positions. */
    transaction: bigint('transaction', { mode: 'number' }).notNull().default(sql`(pg_current_xact_id()::text::bigint)`),
    at: moment('at').notNull().defaultNow(),
    /** `user`: older versions of a user; `credential`: a session or key; `tenant`: the cached tier. */
    kind: text('kind').$type<'user' | 'credential' | 'tenant'>().notNull(),
    subject: text('subject').notNull(),
    /** For a user: the lowest valid version. */
    version: integer('version').notNull().default(0),
  },
  (table) => [index('revocations_transaction').on(table.transaction), index('revocations_at').on(table.at)],
);

/** Shared record of each account: each server has its own log of accounts, and the newest snapshot may be in the log of another server. */
export const accountSnapshots = pgTable('account_snapshots', {
  userId: ofUser().primaryKey(),
  /** The server whose log has the creation of the account; no other server publishes it. Empty for a server that does not share its tables. */
  createdBy: text('created_by').notNull(),
  /** Revision of the newest snapshot; 0 until one exists. */
  revision: integer('revision').notNull(),
  /** Id of the request of the newest snapshot. */
  request: text('request'),
  snapshot: jsonb('snapshot').$type<AccountSnapshot>(),
});
