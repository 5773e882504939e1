import type { Principal, ProblemCode } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { ApiProblem, type MemoryRateLimiter, type TrafficOf } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiKeys } from './api-keys.ts';
import type { AuditLog } from './audit.ts';
import { asking, notFresh } from './auth-problems.ts';
import { FRESH_S, type Identity } from './identity.ts';
import type { Lockout } from './lockout.ts';
import type { Mailer, Notice } from './mail.ts';
import type { Principals } from './principals.ts';
import type { Revocations } from './revocations.ts';
import type { UserNames } from './user-names.ts';
import type { UserStore } from './user-store.ts';

/** What the routes of this module work with. */
export interface AccountParts {
  readonly identity: () => Identity;
  readonly database: Database;
  readonly userStore: UserStore;
  readonly names: UserNames;
  readonly keys: ApiKeys;
  readonly audit: AuditLog;
  readonly principals: Principals;
  readonly revocations: Revocations;
  readonly lockout: Lockout;
  /** Whether this is the first use of an authenticator’s code. */
  readonly consumeCode: (user: string, code: string) => Promise<boolean>;
  readonly mailer: Mailer | null;
  /** Whether anyone may become a user of the home tenant. */
  readonly isOpen: boolean;
  /** How long API keys last, and may last at most, days. */
  readonly keyDays: { readonly usual: number; readonly most: number };
  /** Of what costs this process much. */
  readonly limiter: MemoryRateLimiter;
  /** Ids of the sites that may vouch for someone. */
  readonly providers: readonly string[];
  readonly baseUrl: () => string;
  readonly traffic: TrafficOf;
  /** Tells a user by mail that something about how it signs in has changed, where mail can be sent. */
  readonly notify: (user: string, what: Notice) => Promise<void>;
}

const AGENT_CHARACTERS_MAX = 200;

/** Writes down what was done, in the tenant it was done in. */
export async function note(
  { audit }: AccountParts,
  raw: FastifyRequest,
  { tenant, name, user }: { tenant: string; name: string; user: string | null },
  action: string,
  subject: string,
  detail: Record<string, unknown> = {},
): Promise<void> {
  await audit.append(tenant, { actor: name, user, action, subject, detail, remote: raw.ip, trace: raw.id });
}

/** Someone who signed in, in a browser or with an access token; a key may not hand out what it is itself. */
export function requirePerson(principal: Principal): { user: string } {
  if (principal.user !== null && (principal.kind === 'session' || principal.kind === 'token')) return { user: principal.user };
  throw new ApiProblem('FORBIDDEN', `This action needs a signed-in user, not a ${principal.kind}.`, 'Sign in.');
}

export function requireSession(principal: Principal): { user: string } {
  if (principal.user !== null && principal.kind === 'session') return { user: principal.user };
  throw new ApiProblem(
    'FORBIDDEN',
    `This action needs a browser session, not a ${principal.kind}.`,
    'Sign in, and send the session cookie.',
  );
}

/** @throws ApiProblem REAUTHENTICATION_REQUIRED where the browser signed in too long ago */
export async function requireFresh({ identity }: AccountParts, raw: FastifyRequest): Promise<void> {
  const found = await asking(() => identity().api.getSession({ headers: headersOf(raw), query: { disableRefresh: true } }));
  if (!found || Date.now() - found.session.createdAt.getTime() >= FRESH_S * 1_000) throw notFresh();
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

/** What an attempt fails by, and is counted for. */
const FAILURES: ReadonlySet<string> = new Set<ProblemCode>(['INVALID_CREDENTIALS', 'INVALID_CODE', 'INVALID_PASSKEY', 'INVALID_LINK']);

/**
 * Does what shows who one is, where not too many such attempts have failed.
 * @throws ApiProblem LOCKED_OUT where they have
 */
export async function attempt<T>(
  lockout: Lockout,
  reply: FastifyReply,
  account: string,
  remote: string,
  work: () => Promise<T>,
): Promise<T> {
  refuseFor(await lockout.begin(account, remote), reply);
  try {
    const done = await work();
    await lockout.withdrawn(account, remote);
    return done;
  } catch (error) {
    if (error instanceof ApiProblem && FAILURES.has(error.code)) await lockout.failed(account, remote);
    else await lockout.withdrawn(account, remote);
    throw error;
  }
}

/**
 * The same for what does not say beforehand whose account it is about: then attempts are counted by address, and only once they have failed, for many
 * people may have one address.
 */
export async function attemptFrom<T>(
  lockout: Lockout,
  reply: FastifyReply,
  what: string,
  remote: string,
  work: () => Promise<T>,
): Promise<T> {
  refuseFor(await lockout.waitMs(`${what} from ${remote}`, remote), reply);
  try {
    return await work();
  } catch (error) {
    if (error instanceof ApiProblem && FAILURES.has(error.code)) await lockout.failedAt(`${what} from ${remote}`, remote);
    throw error;
  }
}

/** @throws ApiProblem LOCKED_OUT where one has to wait */
export function refuseFor(waitMs: number, reply: FastifyReply): void {
  if (waitMs === 0) return;
  const seconds = Math.ceil(waitMs / 1_000);
  void reply.header('retry-after', seconds);
  throw new ApiProblem('LOCKED_OUT', `Too many failed attempts. The next attempt is accepted in ${seconds} s.`, 'Wait, then try again.');
}

/** What better-auth may know of a request: the session, the browser, and the address it really came from. */
export function headersOf({ headers, ip }: FastifyRequest): Headers {
  const kept = new Headers({ 'x-forwarded-for': ip });
  if (headers.cookie !== undefined) kept.set('cookie', headers.cookie);
  if (headers['user-agent'] !== undefined) kept.set('user-agent', headers['user-agent'].slice(0, AGENT_CHARACTERS_MAX));
  return kept;
}

export function relay(reply: FastifyReply, headers: Headers): void {
  for (const cookie of headers.getSetCookie()) void reply.header('set-cookie', cookie);
}
