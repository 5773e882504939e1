import type { IncomingHttpHeaders } from 'node:http';
import { actingRole, HOME_TENANT, isRole, type Permission, type Principal, permissionsOf, type Role } from '@millrace/contracts';
import { ApiProblem, type Caller } from '@millrace/http';
import type { Clock } from '@millrace/kernel';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import { type ApiKeys, KEY_PREFIX } from './api-keys.ts';
import type { Identity } from './identity.ts';
import type { Revocations, Revoked } from './revocations.ts';
import type { UserStore } from './user-store.ts';

/** How long a session is cached after a lookup, unless it is revoked. */
const REMEMBERED_MS = 10_000;
const REMEMBERED_MAX = 20_000;
/** Minimum time between two reads of the signing keys because a token names an unknown one. */
const KEYS_AGAIN_MS = 5_000;
const CLOCK_SKEW_S = 5;
/** The cookie of a session. Longer values are none: they would fill the cache. */
const SESSION_COOKIE = /(?:^|; *)(?:__Host-)?millrace\.session_token=([^;]{1,512})(?:;|$)/;

interface PrincipalParts {
  readonly identity: () => Identity;
  readonly keys: ApiKeys;
  readonly userStore: UserStore;
  readonly revocations: Pick<Revocations, 'requireCurrent' | 'isRevoked'>;
  readonly clock: Clock;
  readonly issuer: () => string;
  /** Permissions of requests without credentials. */
  readonly guests: readonly Permission[];
  /** True if operators and administrators need two-factor authentication. */
  readonly twoFactorRequired: boolean;
  readonly onFailure: (message: string, detail: unknown) => void;
}

interface Remembered {
  readonly principal: Principal | null;
  readonly user: string;
  readonly until: number;
}

/** Identifies who makes a request by its access token, API key or session cookie. */
export class Principals {
  readonly #parts: PrincipalParts;
  readonly #anonymous: Principal;
  readonly #sessions = new Map<string, Remembered>();
  readonly #looking = new Map<string, Promise<Principal>>();
  /** Cached permissions of users without a credential of this API, such as players of a world. */
  readonly #users = new Map<string, { permissions: Promise<ReadonlySet<Permission>>; until: number }>();
  /** Number of changes, to detect one during a lookup. */
  #generation = 0;
  #keys: ReturnType<typeof createLocalJWKSet> | null = null;
  #keysReadAt = Number.NEGATIVE_INFINITY;

  constructor(parts: PrincipalParts) {
    this.#parts = parts;
    this.#anonymous = {
      kind: 'anonymous',
      user: null,
      name: 'anonymous',
      tenant: HOME_TENANT,
      role: null,
      tier: 'free',
      permissions: new Set(parts.guests),
      lacksTwoFactor: false,
      credential: null,
      expiresAt: null,
      version: null,
    };
  }

  /**
   * The principal of a request. A cookie of an ended session counts as no cookie. An invalid token or key is refused, because its owner should know.
   */
  readonly identify = ({ headers }: Caller): Principal | Promise<Principal> => {
    const shown = credentialIn(headers);
    try {
      const found = this.#find(shown, headers.cookie);
      return found instanceof Promise ? found.catch((error) => this.#lookupFailed(error)) : found;
    } catch (error) {
      return this.#lookupFailed(error);
    }
  };

  #find(shown: string | null, cookies: string | undefined): Principal | Promise<Principal> {
    const cookie = cookies === undefined ? undefined : SESSION_COOKIE.exec(cookies)?.[1];
    if (shown === null && cookie === undefined) return this.#anonymous;
    this.#parts.revocations.requireCurrent();
    if (shown?.startsWith(KEY_PREFIX)) {
      const found = this.#parts.keys.identify(shown);
      const valid = (principal: Principal | null) => principal ?? refuse('The API key is unknown, expired or revoked.');
      return found instanceof Promise ? found.then(valid) : valid(found);
    }
    if (shown !== null) return this.#byToken(shown);
    return this.#bySession(cookie as string, cookies as string);
  }

  /** Permissions of a user now, for a caller that has its own credential, such as a player token. */
  async may(user: string, permission: Permission): Promise<boolean> {
    const now = this.#parts.clock.elapsed();
    let known = this.#users.get(user);
    if (!known || known.until < now) {
      const permissions = this.#permissionsOf(user);
      known = { permissions, until: now + REMEMBERED_MS };
      this.#users.delete(user);
      this.#users.set(user, known);
      const oldest = this.#users.keys().next();
      if (this.#users.size > REMEMBERED_MAX && !oldest.done) this.#users.delete(oldest.value);
      // A failed lookup is not cached.
      permissions.catch(() => this.#users.delete(user));
    }
    return (await known.permissions).has(permission);
  }

  async #permissionsOf(user: string): Promise<ReadonlySet<Permission>> {
    const found = await this.#parts.userStore.user(user);
    if (!found || found.disabled) return new Set();
    return permissionsOf(this.#actingRole(found.role, found.hasTwoFactor), found.tenant);
  }

  #lookupFailed(error: unknown): never {
    if (error instanceof ApiProblem) throw error;
    this.#parts.onFailure('the user of a request cannot be looked up', error);
    throw new ApiProblem(
      'DATABASE_UNAVAILABLE',
      'The credentials cannot be checked: the database is unavailable.',
      'Try again in a moment.',
    );
  }

  /**
   * Refuses a principal that was revoked since it was identified: by a gateway, which may have older data than this server, or before the body of its
   * request arrived.
   * @throws ApiProblem
   */
  requireNotRevoked(principal: Principal): void {
    if (principal.user === null) return;
    this.#parts.revocations.requireCurrent();
    const { kind, credential } = principal;
    if (this.#parts.revocations.isRevoked({ user: null, version: null, credential })) refuse('The session, token or key was revoked.');
    if (!this.#parts.revocations.isRevoked(principal)) return;
    if (kind === 'token') refuse('The access token was revoked.');
    throw new ApiProblem('DATABASE_UNAVAILABLE', 'Recent changes to this user are not loaded everywhere yet.', 'Try again in a moment.');
  }

  /** Clears a user from the caches. Its open connections go on. */
  forgetUser(user: string): void {
    this.#forget(({ user: other }) => other === user);
    this.#users.delete(user);
  }

  /** Clears these from the caches. */
  forget(revoked: Revoked): void {
    if ('user' in revoked) this.forgetUser(revoked.user);
    else if ('credential' in revoked) this.#forget(({ principal }) => principal?.credential === revoked.credential);
    else {
      this.#forget(() => true);
      this.#users.clear();
      this.#parts.userStore.forgetTiers();
    }
  }

  #forget(isMeant: (cached: Remembered) => boolean): void {
    this.#generation++;
    // A lookup in progress may have read the rows before the change.
    this.#looking.clear();
    for (const [cookie, cached] of this.#sessions) if (isMeant(cached)) this.#sessions.delete(cookie);
    this.#parts.keys.forget();
  }

  #bySession(cookie: string, cookies: string): Principal | Promise<Principal> {
    const known = this.#sessions.get(cookie);
    if (known && known.until > this.#parts.clock.elapsed()) return this.#unexpired(known.principal);
    // Concurrent requests of a page share one lookup of the session.
    let looking = this.#looking.get(cookie);
    if (!looking) {
      const begun = this.#lookUp(cookie, cookies).finally(() => {
        if (this.#looking.get(cookie) === begun) this.#looking.delete(cookie);
      });
      looking = begun;
      this.#looking.set(cookie, begun);
    }
    return looking;
  }

  async #lookUp(cookie: string, cookies: string): Promise<Principal> {
    const generation = this.#generation;
    const found = await this.#parts
      .identity()
      .api.getSession({ headers: new Headers({ cookie: cookies }), query: { disableRefresh: true } });
    const { role, tenant, disabled, version } = (found?.user ?? {}) as {
      role?: string;
      tenant?: string;
      disabled?: boolean;
      version?: number;
    };
    const acting = isRole(role) ? this.#actingRole(role, found?.session.twoFactor) : null;
    const principal: Principal | null =
      found && isRole(role) && acting && tenant !== undefined && !disabled
        ? {
            kind: 'session',
            user: found.user.id,
            name: found.user.name,
            tenant,
            role,
            tier: await this.#parts.userStore.tierOf(tenant),
            permissions: permissionsOf(acting, tenant),
            lacksTwoFactor: acting !== role,
            credential: found.session.id,
            expiresAt: found.session.expiresAt.getTime(),
            version: version ?? null,
          }
        : null;
    // The change may concern a row that was read before it.
    if (generation !== this.#generation) return this.#lookUp(cookie, cookies);
    this.#sessions.delete(cookie);
    this.#sessions.set(cookie, { principal, user: found?.user.id ?? '', until: this.#parts.clock.elapsed() + REMEMBERED_MS });
    const oldest = this.#sessions.keys().next();
    if (this.#sessions.size > REMEMBERED_MAX && !oldest.done) this.#sessions.delete(oldest.value);
    return this.#unexpired(principal);
  }

  /** The principal of a session; anonymous when the session has ended or expired. */
  #unexpired(principal: Principal | null): Principal {
    const { clock } = this.#parts;
    return principal === null || (principal.expiresAt ?? clock.now()) <= clock.now() ? this.#anonymous : principal;
  }

  async #byToken(token: string): Promise<Principal> {
    const claims = await this.#verify(token);
    const {
      sub,
      tenant,
      role,
      sid,
      name,
      mfa,
      ver,
      exp = 0,
    } = claims as JWTPayload & Record<'tenant' | 'role' | 'sid' | 'name' | 'mfa' | 'ver', unknown>;
    if (typeof sub !== 'string' || typeof tenant !== 'string' || !isRole(role) || typeof ver !== 'number')
      return refuse('The access token was not issued by this installation.');
    const tier = await this.#parts.userStore.tierOf(tenant);
    // Last, because it may be revoked meanwhile.
    if (this.#parts.revocations.isRevoked({ user: sub, version: ver, credential: String(sid) }))
      return refuse('The access token was revoked.');
    const acting = this.#actingRole(role, mfa);
    return {
      kind: 'token',
      user: sub,
      name: String(name),
      tenant,
      role,
      tier,
      permissions: permissionsOf(acting, tenant),
      lacksTwoFactor: acting !== role,
      credential: String(sid),
      expiresAt: exp * 1_000,
      version: ver,
    };
  }

  #actingRole(role: Role, hasTwoFactor: unknown): Role {
    return actingRole(role, hasTwoFactor === true, this.#parts.twoFactorRequired);
  }

  async #verify(token: string): Promise<JWTPayload> {
    const issuer = this.#parts.issuer();
    const expected = { issuer, audience: issuer, algorithms: ['EdDSA'], clockTolerance: CLOCK_SKEW_S };
    for (let isSecond = false; ; isSecond = true) {
      this.#keys ??= await this.#readKeys();
      try {
        return (await jwtVerify(token, this.#keys, expected)).payload;
      } catch (error) {
        const isUnknownKey = error instanceof errors.JWKSNoMatchingKey;
        const mayReadAgain = this.#parts.clock.elapsed() - this.#keysReadAt > KEYS_AGAIN_MS;
        if (isUnknownKey && !isSecond && mayReadAgain) this.#keys = null;
        else if (error instanceof errors.JOSEError) return refuse(`The access token is not valid: ${error.message}.`);
        else throw error;
      }
    }
  }

  async #readKeys(): Promise<ReturnType<typeof createLocalJWKSet>> {
    this.#keysReadAt = this.#parts.clock.elapsed();
    return createLocalJWKSet((await this.#parts.identity().api.getJwks()) as JSONWebKeySet);
  }
}

/** The API key or access token in the headers of a request; null if there is none. */
function credentialIn({ authorization, 'x-api-key': key }: IncomingHttpHeaders): string | null {
  if (typeof key === 'string' && key !== '') return key.startsWith(KEY_PREFIX) ? key : refuse('The value is not an API key of Millrace.');
  if (authorization === undefined) return null;
  const [, token] = /^Bearer +([^\s]+)$/i.exec(authorization) ?? [];
  return token ?? refuse('The Authorization header is not "Bearer" followed by a token.');
}

function refuse(detail: string): never {
  throw new ApiProblem('INVALID_TOKEN', detail, 'Sign in again, or send a valid access token or API key.');
}
