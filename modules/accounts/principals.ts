import type { IncomingHttpHeaders } from 'node:http';
import { actingRole, HOME_TENANT, isRole, type Permission, type Principal, permissionsOf, type Role } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import { ApiProblem, type Caller, type StreamsOf } from '@millrace/platform/http';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import { type ApiKeys, KEY_PREFIX } from './api-keys.ts';
import { ACCESS_TOKEN_S, type Identity } from './identity.ts';
import type { Members } from './members.ts';

/** How long a session that was looked up is taken for what it was, unless this process ends it. */
const REMEMBERED_MS = 10_000;
const REMEMBERED_MAX = 20_000;
/** How often at most the signing keys are read again because a token names one that is not known. */
const KEYS_AGAIN_MS = 5_000;
const CLOCK_SKEW_S = 5;
const SESSION_COOKIE = /(?:^|; *)(?:__Host-)?millrace\.session_token=([^;]+)/;

interface PrincipalParts {
  readonly identity: () => Identity;
  readonly keys: ApiKeys;
  readonly members: Members;
  readonly clock: Clock;
  readonly issuer: () => string;
  /** What anyone may do without signing in. */
  readonly guests: readonly Permission[];
  /** Whether who may operate or administrate needs a second factor for it. */
  readonly needsSecondFactor: boolean;
  /** What someone has open under what it was is to be ended. */
  readonly onEnded: (whose: StreamsOf) => void;
  /** Something has changed that other servers of the installation may remember, too. */
  readonly onChange: (change: AccountChange) => void;
  readonly onTrouble: (message: string, detail: unknown) => void;
}

/** Whose sessions, tokens and keys are to be looked up again: a user’s, those of one credential, or everyone’s. */
export type AccountChange = StreamsOf | 'all';

interface Remembered {
  readonly principal: Principal | null;
  readonly user: string;
  readonly until: number;
}

/** Finds out who makes a request: from its access token, its API key or its browser’s session. */
export class Principals {
  readonly #parts: PrincipalParts;
  readonly #anonymous: Principal;
  readonly #sessions = new Map<string, Remembered>();
  readonly #looking = new Map<string, Promise<Principal>>();
  /** What users may do who show nothing here: they came in elsewhere. */
  readonly #users = new Map<string, { permissions: Promise<ReadonlySet<Permission>>; until: number }>();
  /** Counts what was changed. */
  #generation = 0;
  /** Access tokens of a user that were issued before this, epoch s, count no more. */
  readonly #revokedAt = new Map<string, number>();
  readonly #endedSessions = new Map<string, number>();
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
      lacksSecondFactor: false,
      credential: null,
      expiresAt: null,
    };
  }

  /**
   * Who asks. A cookie that is no session any more is as good as none; a token or key that is not valid is refused, for its owner
   * should know.
   */
  readonly identify = ({ headers }: Caller): Principal | Promise<Principal> => {
    const shown = credentialIn(headers);
    try {
      const found = this.#find(shown, headers.cookie);
      return found instanceof Promise ? found.catch((error) => this.#cannotTell(error)) : found;
    } catch (error) {
      return this.#cannotTell(error);
    }
  };

  #find(shown: string | null, cookies: string | undefined): Principal | Promise<Principal> {
    if (shown?.startsWith(KEY_PREFIX)) {
      const found = this.#parts.keys.identify(shown);
      const valid = (principal: Principal | null) => principal ?? refuse('The API key is not valid, or not any more.');
      return found instanceof Promise ? found.then(valid) : valid(found);
    }
    if (shown !== null) return this.#byToken(shown);
    const cookie = cookies === undefined ? undefined : SESSION_COOKIE.exec(cookies)?.[1];
    return cookie === undefined ? this.#anonymous : this.#bySession(cookie, cookies as string);
  }

  /** Whether a user may do something now: for doors where it shows something else than a credential of ours. */
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
      // What could not be looked up is not remembered.
      permissions.catch(() => this.#users.delete(user));
    }
    return (await known.permissions).has(permission);
  }

  async #permissionsOf(user: string): Promise<ReadonlySet<Permission>> {
    const found = await this.#parts.members.user(user);
    if (!found || found.disabled) return new Set();
    return permissionsOf(this.#actingRole(found.role, found.hasSecondFactor), found.tenant);
  }

  #cannotTell(error: unknown): never {
    if (error instanceof ApiProblem) throw error;
    this.#parts.onTrouble('it cannot be looked up who asks', error);
    throw new ApiProblem('TABLES_AWAY', 'It cannot be looked up who asks.', 'Try again in a moment.');
  }

  /** What is known of a user counts no more: its role has changed, its password, or it was kept out. */
  userChanged(user: string): void {
    this.#apply({ user });
    this.#parts.onChange({ user });
  }

  /** How long a new token has to wait to count, ms: tokens name a second, and those of the second in which something about a user changed may be from before. */
  tokenWaitMs(user: string): number {
    const now = this.#parts.clock.now();
    return Math.max(0, ((this.#revokedAt.get(user) ?? -1) + 1) * 1_000 - now);
  }

  /** A user is to be looked up again, but may go on as it is. */
  forgetUser(user: string): void {
    this.#generation++;
    for (const [cookie, known] of this.#sessions) if (known.user === user) this.#sessions.delete(cookie);
    this.#users.delete(user);
    this.#parts.keys.forget();
  }

  /** What is known of everyone counts no more. */
  allChanged(): void {
    this.#apply('all');
    this.#parts.onChange('all');
  }

  /** A session or a key counts no more. */
  credentialEnded(credential: string): void {
    this.#apply({ credential });
    this.#parts.onChange({ credential });
  }

  /** Another server of the installation has changed something. */
  heard(change: AccountChange): void {
    this.#apply(change);
  }

  #apply(change: AccountChange): void {
    this.#generation++;
    if (change === 'all') {
      this.#sessions.clear();
      this.#parts.members.forgetTiers();
      this.#parts.keys.forget();
      return;
    }
    if ('user' in change) {
      this.forgetUser(change.user);
      this.#note(this.#revokedAt, change.user);
    } else {
      const { credential } = change;
      for (const [cookie, known] of this.#sessions) if (known.principal?.credential === credential) this.#sessions.delete(cookie);
      this.#parts.keys.forget();
      this.#note(this.#endedSessions, credential);
    }
    this.#parts.onEnded(change);
  }

  /** Tokens issued before now live no longer than they would have anyway, so neither does the note. */
  #note(notes: Map<string, number>, what: string): void {
    const now = Math.floor(this.#parts.clock.now() / 1_000);
    for (const [other, at] of notes) if (now - at > ACCESS_TOKEN_S + CLOCK_SKEW_S) notes.delete(other);
    notes.set(what, now);
  }

  #bySession(cookie: string, cookies: string): Principal | Promise<Principal> {
    const known = this.#sessions.get(cookie);
    if (known && known.until > this.#parts.clock.elapsed()) return known.principal ?? this.#anonymous;
    // However many requests a page sends at once, its session is looked up once.
    let looking = this.#looking.get(cookie);
    if (!looking) {
      looking = this.#lookUp(cookie, cookies).finally(() => this.#looking.delete(cookie));
      this.#looking.set(cookie, looking);
    }
    return looking;
  }

  async #lookUp(cookie: string, cookies: string): Promise<Principal> {
    const generation = this.#generation;
    const found = await this.#parts
      .identity()
      .api.getSession({ headers: new Headers({ cookie: cookies }), query: { disableRefresh: true } });
    const { role, tenant, disabled } = (found?.user ?? {}) as { role?: string; tenant?: string; disabled?: boolean };
    const acting = isRole(role) ? this.#actingRole(role, found?.session.secondFactor) : null;
    const principal: Principal | null =
      found && isRole(role) && acting && tenant !== undefined && !disabled
        ? {
            kind: 'session',
            user: found.user.id,
            name: found.user.name,
            tenant,
            role,
            tier: await this.#parts.members.tierOf(tenant),
            permissions: permissionsOf(acting, tenant),
            lacksSecondFactor: acting !== role,
            credential: found.session.id,
            expiresAt: null,
          }
        : null;
    // What was changed meanwhile may be what was read before.
    if (generation !== this.#generation) return principal ?? this.#anonymous;
    this.#sessions.delete(cookie);
    this.#sessions.set(cookie, { principal, user: found?.user.id ?? '', until: this.#parts.clock.elapsed() + REMEMBERED_MS });
    const oldest = this.#sessions.keys().next();
    if (this.#sessions.size > REMEMBERED_MAX && !oldest.done) this.#sessions.delete(oldest.value);
    return principal ?? this.#anonymous;
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
      iat = 0,
      exp = 0,
    } = claims as JWTPayload & Record<'tenant' | 'role' | 'sid' | 'name' | 'mfa', unknown>;
    if (typeof sub !== 'string' || typeof tenant !== 'string' || !isRole(role)) return refuse('The access token is none of ours.');
    if ((this.#revokedAt.get(sub) ?? -1) >= iat || (this.#endedSessions.get(String(sid)) ?? -1) >= 0)
      return refuse('The access token was revoked.');
    const acting = this.#actingRole(role, mfa);
    return {
      kind: 'token',
      user: sub,
      name: String(name),
      tenant,
      role,
      tier: await this.#parts.members.tierOf(tenant),
      permissions: permissionsOf(acting, tenant),
      lacksSecondFactor: acting !== role,
      credential: String(sid),
      expiresAt: exp * 1_000,
    };
  }

  #actingRole(role: Role, hasSecondFactor: unknown): Role {
    return actingRole(role, hasSecondFactor === true, this.#parts.needsSecondFactor);
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

/** What a request shows in its headers; null when nothing but perhaps a cookie. */
function credentialIn({ authorization, 'x-api-key': key }: IncomingHttpHeaders): string | null {
  if (typeof key === 'string' && key !== '') return key.startsWith(KEY_PREFIX) ? key : refuse('The API key is none of ours.');
  if (authorization === undefined) return null;
  const [, token] = /^Bearer +([^\s]+)$/i.exec(authorization) ?? [];
  return token ?? refuse('The Authorization header is not “Bearer” and a token.');
}

function refuse(detail: string): never {
  throw new ApiProblem('BAD_CREDENTIAL', detail, 'Sign in again, or send a valid access token or API key.');
}
