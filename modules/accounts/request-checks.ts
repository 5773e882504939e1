import type { Principal } from '@millrace/contracts';
import type { Database, Transaction } from '@millrace/database';
import { ApiProblem, type MemoryRateLimiter, type TrafficOf } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { KeyDays } from './api-key-expiry.ts';
import type { ApiKeys } from './api-keys.ts';
import type { AuditLog } from './audit.ts';
import type { AuditedOperations } from './audited-operations.ts';
import { callAuth, notFresh } from './auth-problems.ts';
import type { Identity } from './identity.ts';
import type { Lockout } from './lockout.ts';
import type { Mailer, Notice } from './mail.ts';
import type { Principals } from './principals.ts';
import type { Revocations } from './revocations.ts';
import { FRESH_S } from './session-rules.ts';
import type { UserNames } from './user-names.ts';
import type { UserStore } from './user-store.ts';

/** Dependencies of the routes of this module. */
export interface AccountParts {
  readonly identity: () => Identity;
  readonly database: Database;
  readonly userStore: UserStore;
  readonly names: UserNames;
  readonly keys: ApiKeys;
  readonly audit: AuditLog;
  readonly operations: AuditedOperations;
  readonly principals: Principals;
  readonly revocations: Revocations;
  readonly lockout: Lockout;
  /** True when this is the first use of a code of an authenticator. */
  readonly consumeCode: (user: string, code: string) => Promise<boolean>;
  readonly mailer: Mailer | null;
  /** Whether anyone may become a user of the home tenant. */
  readonly isOpen: boolean;
  readonly keyDays: KeyDays;
  /** Limits requests that use much processor time. */
  readonly limiter: MemoryRateLimiter;
  /** Ids of the sign-in providers. */
  readonly providers: readonly string[];
  readonly baseUrl: () => string;
  readonly traffic: TrafficOf;
  /** Notifies a user by mail of a change to its credentials. Without a mail server it does nothing. */
  readonly notify: (user: string, what: Notice) => Promise<void>;
}

const AGENT_CHARACTERS_MAX = 200;

/** Appends an action that has taken effect to the audit log of the tenant in which it was done; later if the entry cannot be stored now. */
export async function note(
  { operations }: Pick<AccountParts, 'operations'>,
  raw: FastifyRequest,
  { tenant, name, user }: { tenant: string; name: string; user: string | null },
  action: string,
  subject: string,
  detail: Record<string, unknown> = {},
): Promise<void> {
  await operations.store(tenant, { actor: name, user, action, subject, detail, remote: raw.ip, trace: raw.id });
}

/**
 * Makes a change, with its entry in the audit log of the tenant in which it is made: neither is stored without the other. So a request that failed
 * changed nothing, and can be repeated.
 * @param change uses only this transaction; throws to change nothing
 * @param entryOf the entry for the result of the change
 */
export async function changeAudited<T>(
  { audit }: AccountParts,
  raw: FastifyRequest,
  { tenant, name, user }: { tenant: string; name: string; user: string | null },
  change: (transaction: Transaction) => Promise<T>,
  entryOf: (result: T) => { readonly action: string; readonly subject: string; readonly detail?: Record<string, unknown> },
): Promise<T> {
  const about = { actor: name, user, remote: raw.ip, trace: raw.id };
  const { result } = await audit.appendWith(tenant, change, (made) => ({ detail: {}, ...about, ...entryOf(made) }));
  return result;
}

/**
 * The id of a user that signed in, in a browser or with an access token. An API key cannot create credentials.
 * @throws ApiProblem FORBIDDEN
 */
export function requirePerson(principal: Principal): { user: string } {
  if (principal.user !== null && (principal.kind === 'session' || principal.kind === 'token')) return { user: principal.user };
  throw new ApiProblem('FORBIDDEN', `This action needs a signed-in user, not a ${principal.kind}.`, 'Sign in.');
}

/** The id of a user that signed in in a browser. @throws ApiProblem FORBIDDEN */
export function requireSession(principal: Principal): { user: string } {
  if (principal.user !== null && principal.kind === 'session') return { user: principal.user };
  throw new ApiProblem(
    'FORBIDDEN',
    `This action needs a browser session, not a ${principal.kind}.`,
    'Sign in, and send the session cookie.',
  );
}

/** @throws ApiProblem REAUTHENTICATION_REQUIRED when the session is older than FRESH_S */
export async function requireFresh({ identity }: AccountParts, raw: FastifyRequest): Promise<void> {
  const found = await callAuth(() => identity().api.getSession({ headers: headersOf(raw), query: { disableRefresh: true } }));
  if (!found || Date.now() - found.session.createdAt.getTime() >= FRESH_S * 1_000) throw notFresh();
}

/**
 * Refuses a tenant that the principal may not access. Only administrators of the installation may access other tenants, and only to them does the
 * response show whether another tenant exists.
 * @throws ApiProblem UNKNOWN_TENANT
 */
export async function requireTenant({ userStore }: AccountParts, principal: Principal, tenant: string): Promise<void> {
  const isOwn = principal.tenant === tenant;
  if (isOwn || (principal.permissions.has('platform:admin') && (await userStore.tenantExists(tenant)))) return;
  throw new ApiProblem('UNKNOWN_TENANT', `Unknown tenant "${tenant}", or you cannot access it.`, `Your tenant is "${principal.tenant}".`);
}

/**
 * Where two-factor authentication is required, a session without it must not change how its user signs in: otherwise a stolen password
 * would be enough to add a new factor. @throws ApiProblem FORBIDDEN
 */
export async function requireTwoFactor({ userStore }: AccountParts, { user, lacksTwoFactor }: Principal): Promise<void> {
  if (!lacksTwoFactor || !(await userStore.user(user ?? ''))?.hasTwoFactor) return;
  throw new ApiProblem(
    'FORBIDDEN',
    'This session was not signed in with two-factor authentication.',
    'Sign in with your passkey, or with your password and a code, then repeat the request.',
  );
}

/** The headers of a request that better-auth gets: the cookie, the user agent, and the address of the client. */
export function headersOf({ headers, ip }: FastifyRequest): Headers {
  const kept = new Headers({ 'x-forwarded-for': ip });
  if (headers.cookie !== undefined) kept.set('cookie', headers.cookie);
  if (headers['user-agent'] !== undefined) kept.set('user-agent', headers['user-agent'].slice(0, AGENT_CHARACTERS_MAX));
  return kept;
}

/** Sets the cookies that better-auth has set. */
export function relay(reply: FastifyReply, headers: Headers): void {
  for (const cookie of headers.getSetCookie()) void reply.header('set-cookie', cookie);
}
