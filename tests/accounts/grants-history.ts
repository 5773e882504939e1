import assert from 'node:assert/strict';
import { Random } from '@millrace/base/random';
import type {
  AccessToken,
  AuditEntry,
  Invitation,
  NewApiKey,
  Permission,
  Problem,
  Role,
  TwoFactorSetup,
  UserSession,
} from '@millrace/contracts';
import { type TOTP, URI } from 'otpauth';
import { contentOf } from '../response.ts';
import { checkRequests, checkStreams, REFUSALS_MAX } from './grants-checks.ts';
import { actorOf, type Credential, permissionsNow, type User } from './grants-model.ts';
import { type Guarded, PASSWORD, type Visitor, wordIn } from './visitor.ts';

type Entry = readonly [tenant: string, actor: string, user: string, action: string, subject: string];

const ROLES: readonly Role[] = ['viewer', 'trader', 'operator', 'admin'];
const SCOPES: readonly Permission[] = ['market:read', 'account:read', 'account:write', 'platform:read', 'tenant:read', 'platform:admin'];
const USERS_MAX = 8;

/** A random history of grants and revocations on a real server. `run` checks every surface after each answered change. */
export class GrantHistory {
  readonly #guarded: Guarded;
  readonly #random: Random;
  readonly #root: Credential;
  readonly #users: User[] = [];
  #credentials: Credential[] = [];
  readonly #tenants: string[];
  readonly #newest = new Map<string, number>();
  #expected: Entry[] = [];
  #made = 0;
  readonly #prefix: string;
  readonly log: string[] = [];

  /** @param root a session of an administrator of the installation, which the history does not change */
  constructor(guarded: Guarded, seed: number, root: Credential, tenants: readonly string[]) {
    this.#guarded = guarded;
    this.#random = new Random(seed);
    this.#root = root;
    this.#tenants = [...tenants];
    this.#prefix = `s${seed}`;
  }

  async run(steps: number): Promise<void> {
    await this.#readAudit();
    for (const tenant of this.#tenants) for (const role of ['admin', 'trader'] as const) await this.#join(this.#root, tenant, role);
    await this.#check();
    const kinds = [
      () => this.#join(this.#actor(), this.#pick(this.#tenants), this.#pick(ROLES)),
      () => this.#changeUser(),
      () => this.#changeUser(),
      () => this.#signIn(),
      () => this.#signIn(),
      () => this.#signOut(),
      () => this.#endSession(),
      () => this.#createKey(),
      () => this.#createKey(),
      () => this.#revokeKey(),
      () => this.#createToken(),
      () => this.#createToken(),
      () => this.#changePassword(),
      () => this.#resetPassword(),
      () => this.#enableTwoFactor(),
      () => this.#disableTwoFactor(),
      () => this.#changeTenant(),
    ];
    for (let step = 0; step < steps; step++) {
      await this.#pick(kinds)();
      await this.#check();
    }
    for (const { streams } of this.#credentials) for (const { socket } of streams) socket.terminate();
  }

  #next(count: number): number {
    return Math.floor(this.#random.next() * count);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#next(from.length)] as T;
  }

  #actor(): Credential {
    return this.#next(4) === 0 ? this.#root : (this.#pick(this.#credentials) ?? this.#root);
  }

  /** Makes a request. Whether it succeeds must be as the model says; `isAllowed` is what it needs besides the permission. */
  async #ask<T>(by: Credential, method: string, path: string, body: unknown, permission: Permission, isAllowed = true): Promise<T | null> {
    const permissions = permissionsNow(by);
    if (permissions === null && by.refusals++ >= REFUSALS_MAX) return null;
    const shouldPass = isAllowed && (permissions?.has(permission) ?? false);
    const response = await by.visitor.ask(method, `/api/v1${path}`, body);
    const content = await contentOf(response);
    this.log.push(`${by.kind} ${by.id.slice(0, 6)} of ${by.user.name}: ${method} ${path} ${JSON.stringify(body)} -> ${response.status}`);
    assert.equal(response.ok, shouldPass, JSON.stringify([content, [...(permissions ?? [])]]));
    if (!response.ok && permissions === null) assert.equal(response.status, 401, JSON.stringify(content));
    else if (!response.ok && !permissions?.has(permission)) assert.equal((content as Problem).code, 'FORBIDDEN');
    return response.ok ? (content as T) : null;
  }

  #note(tenant: string, by: Credential, action: string, subject: string): void {
    this.#expected.push([tenant, actorOf(by), by.user.id, action, subject]);
  }

  #noteOf(user: User, action: string, subject: string): void {
    this.#expected.push([user.tenant, user.name, user.id, action, subject]);
  }

  /** Whether a caller may name a tenant at all. */
  #reaches(by: Credential, tenant: string): boolean {
    return by.user.tenant === tenant || (permissionsNow(by)?.has('platform:admin') ?? false);
  }

  async #join(by: Credential, tenant: string, role: Role): Promise<void> {
    if (this.#users.length >= USERS_MAX) return;
    const email = `${this.#prefix}-${++this.#made}@example.com`;
    const isOpen = this.#next(2) === 0;
    const isAllowed = by.kind !== 'key' && this.#reaches(by, tenant);
    const body = isOpen ? { role } : { role, email };
    const invited = await this.#ask<Invitation>(by, 'POST', `/tenants/${tenant}/invitations`, body, 'tenant:manage', isAllowed);
    if (!invited) return;
    this.#note(tenant, by, 'user invited', isOpen ? 'anyone with the link' : email);
    const visitor = this.#guarded.visitor();
    const name = `User ${this.#prefix} ${this.#made}`;
    if (this.#next(4) === 0) {
      await by.visitor.get('DELETE', `/tenants/${tenant}/invitations/${invited.id}`);
      this.#note(tenant, by, 'invitation revoked', isOpen ? 'anyone with the link' : email);
      const wish = { name, email, password: PASSWORD, invitation: wordIn(invited.link) };
      assert.equal(await visitor.refusal('POST', '/auth/sign-up', wish), 'INVALID_LINK');
      return;
    }
    await visitor.signUp(name, email, wordIn(invited.link));
    const { user: id } = await visitor.get<{ user: string }>('GET', '/account');
    const user: User = {
      id,
      name,
      email,
      tenant,
      role,
      disabled: false,
      password: PASSWORD,
      hasTwoFactor: false,
      recoveryCodes: [],
      version: 1,
    };
    this.#users.push(user);
    this.#noteOf(user, 'user joined', email);
    await this.#addSession(user, visitor, false);
  }

  async #addSession(user: User, visitor: Visitor, isStrong: boolean): Promise<void> {
    const own = (await visitor.get<UserSession[]>('GET', '/account/sessions')).find(({ isThis }) => isThis);
    this.#add({ kind: 'session', user, visitor, id: own?.id ?? '', isStrong, scopes: null, session: null });
  }

  #add(about: Pick<Credential, 'kind' | 'user' | 'visitor' | 'id' | 'isStrong' | 'scopes' | 'session'> & { name?: string }): void {
    const { role, version } = about.user;
    this.#credentials.push({ name: '', ...about, isEnded: false, role, version, streams: [], refusals: 0 });
  }

  async #changeUser(): Promise<void> {
    const by = this.#next(2) === 0 ? this.#root : this.#actor();
    const target = this.#pick(this.#users);
    const tenant = this.#next(6) === 0 ? this.#pick(this.#tenants) : target.tenant;
    const change: { role?: Role; disabled?: boolean } = {};
    if (this.#next(3) > 0) change.role = this.#pick(ROLES);
    if (this.#next(3) === 0) change.disabled = this.#next(2) === 0;
    const after = { ...target, ...change };

    const isAllowed = by.kind !== 'key' && this.#reaches(by, tenant) && tenant === target.tenant;
    if (!(await this.#ask(by, 'PATCH', `/tenants/${tenant}/users/${target.id}`, change, 'tenant:manage', isAllowed))) return;
    this.#note(tenant, by, 'user changed', target.email);
    if (after.role !== target.role || after.disabled !== target.disabled) target.version++;
    Object.assign(target, change);
    if (change.disabled) this.#endSessions(target);
  }

  #endSessions(user: User, but: Credential | null = null): void {
    for (const credential of this.#credentials)
      if (credential.kind === 'session' && credential.user === user && credential !== but) credential.isEnded = true;
  }

  async #signIn(): Promise<void> {
    const user = this.#pick(this.#users);
    const visitor = this.#guarded.visitor();
    if (user.disabled) {
      await visitor.refusal('POST', '/auth/sign-in', { email: user.email, password: user.password });
      return;
    }
    const { status } = await visitor.signIn(user.email, user.password);
    assert.equal(status, user.hasTwoFactor ? 'two-factor' : 'signed-in');
    this.log.push(`sign-in of ${user.name}: ${status}`);
    if (user.hasTwoFactor) {
      const code = user.recoveryCodes.pop();
      if (code === undefined) return;
      await visitor.get('POST', '/auth/two-factor', { code });
    }
    this.#noteOf(user, 'signed in', user.email);
    await this.#addSession(user, visitor, user.hasTwoFactor);
  }

  async #signOut(): Promise<void> {
    const by = this.#pick(this.#credentials.filter(({ kind }) => kind === 'session'));
    if (!by) return;
    const response = await by.visitor.copy().ask('POST', '/api/v1/auth/sign-out');
    this.log.push(`sign-out of ${by.user.name} ${by.id.slice(0, 6)}: ${response.status}`);
    assert.equal(response.status, 204);
    by.isEnded = true;
  }

  async #endSession(): Promise<void> {
    const by = this.#pick(this.#credentials);
    const ended = this.#pick(this.#credentials.filter(({ kind }) => kind === 'session'));
    if (!by || !ended) return;
    const isAllowed = by.kind !== 'key' && ended.user === by.user && !ended.isEnded;
    if ((await this.#ask(by, 'DELETE', `/account/sessions/${ended.id}`, undefined, 'account:write', isAllowed)) === null) return;
    this.#note(by.user.tenant, by, 'session ended', ended.id);
    ended.isEnded = true;
  }

  /** Whether a session may change how its user signs in. */
  #isStrongEnough({ isStrong, user }: Credential): boolean {
    return isStrong || !user.hasTwoFactor || user.role === 'viewer' || user.role === 'trader';
  }

  async #createKey(): Promise<void> {
    const by = this.#pick(this.#credentials);
    if (!by) return;
    const scopes = SCOPES.filter(() => this.#next(2) === 0);
    if (scopes.length === 0) scopes.push('market:read');
    const name = `key ${++this.#made}`;
    const hasAll = scopes.every((scope) => permissionsNow(by)?.has(scope));
    const isAllowed = by.kind === 'session' && hasAll && this.#isStrongEnough(by);
    const created = await this.#ask<NewApiKey>(by, 'POST', '/account/keys', { name, scopes }, 'account:write', isAllowed);
    if (!created) return;
    this.#note(by.user.tenant, by, 'key created', created.id);
    const visitor = this.#guarded.visitor({ authorization: `Bearer ${created.key}` });
    this.#add({ kind: 'key', user: by.user, visitor, id: created.id, name, isStrong: false, scopes, session: null });
  }

  async #revokeKey(): Promise<void> {
    const key = this.#credentials.filter(({ kind }) => kind === 'key').at(-1 - this.#next(4));
    const by = key && this.#pick(this.#credentials.filter(({ user }) => user === key.user));
    if (!key || !by) return;
    const isAllowed = by.kind !== 'key' && !key.isEnded;
    if ((await this.#ask(by, 'DELETE', `/account/keys/${key.id}`, undefined, 'account:write', isAllowed)) === null) return;
    this.#note(by.user.tenant, by, 'key revoked', key.id);
    key.isEnded = true;
  }

  async #createToken(): Promise<void> {
    const by = this.#pick(this.#credentials);
    if (!by) return;
    const made = await this.#ask<AccessToken>(by, 'POST', '/auth/token', undefined, 'account:read', by.kind === 'session');
    if (!made) return;
    const visitor = this.#guarded.visitor({ authorization: `Bearer ${made.accessToken}` });
    this.#add({ kind: 'token', user: by.user, visitor, id: by.id, isStrong: by.isStrong, scopes: null, session: by });
  }

  /** Ends a session, whose user continues with another one. */
  async #replace(by: Credential, replaced: Visitor, isStrong: boolean): Promise<void> {
    const { user, visitor, streams } = by;
    await this.#addSession(user, visitor, isStrong);
    this.#credentials.splice(this.#credentials.indexOf(by), 1, { ...by, visitor: replaced, isEnded: true, streams: [...streams] });
    by.isEnded = true;
    streams.length = 0;
  }

  async #changePassword(): Promise<void> {
    const by = this.#pick(this.#credentials);
    if (!by) return;
    const next = `${PASSWORD} ${++this.#made}`;
    const endKeys = this.#next(2) === 0;
    const body = { current: by.user.password, next, endKeys };
    const replaced = by.visitor.copy();
    if ((await this.#ask(by, 'POST', '/account/password', body, 'account:write', by.kind === 'session')) === null) return;
    this.#note(by.user.tenant, by, 'password changed', by.user.id);
    this.#passwordIsNew(by.user, next);
    if (endKeys) for (const other of this.#credentials) if (other.kind === 'key' && other.user === by.user) other.isEnded = true;
    await this.#replace(by, replaced, by.isStrong);
  }

  #passwordIsNew(user: User, password: string): void {
    user.password = password;
    user.version++;
    this.#endSessions(user);
  }

  async #resetPassword(): Promise<void> {
    const by = this.#actor();
    const target = this.#pick(this.#users);
    const path = `/tenants/${target.tenant}/users/${target.id}/password-reset`;
    const isAllowed = by.kind === 'session' && this.#reaches(by, target.tenant) && this.#isStrongEnough(by) && !target.disabled;
    const made = await this.#ask<{ link: string }>(by, 'POST', path, undefined, 'tenant:manage', isAllowed);
    if (!made) return;
    this.#note(target.tenant, by, 'password reset link created', target.email);
    const password = `${PASSWORD} ${++this.#made}`;
    const token = new URL(made.link).searchParams.get('token') ?? '';
    await this.#guarded.visitor().get('POST', '/auth/reset-password', { token, password });
    this.#noteOf(target, 'password changed', target.id);
    this.#passwordIsNew(target, password);
  }

  async #enableTwoFactor(): Promise<void> {
    const by = this.#pick(this.#credentials.filter(({ user }) => !user.hasTwoFactor));
    if (!by) return;
    const body = { password: by.user.password };
    const setup = await this.#ask<TwoFactorSetup>(by, 'POST', '/account/two-factor', body, 'account:write', by.kind === 'session');
    if (!setup) return;
    const code = (URI.parse(setup.uri) as TOTP).generate();
    const replaced = by.visitor.copy();
    await by.visitor.get('POST', '/account/two-factor/confirm', { code });
    this.#note(by.user.tenant, by, 'two-factor enabled', by.user.id);
    Object.assign(by.user, { hasTwoFactor: true, recoveryCodes: [...setup.recoveryCodes], version: by.user.version + 1 });
    await this.#replace(by, replaced, true);
  }

  async #disableTwoFactor(): Promise<void> {
    const by = this.#pick(this.#credentials.filter(({ user }) => user.hasTwoFactor));
    if (!by) return;
    const isAllowed = by.kind === 'session' && this.#isStrongEnough(by);
    const body = { password: by.user.password };
    const replaced = by.visitor.copy();
    if ((await this.#ask(by, 'POST', '/account/two-factor/disable', body, 'account:write', isAllowed)) === null) return;
    this.#note(by.user.tenant, by, 'two-factor disabled', by.user.id);
    Object.assign(by.user, { hasTwoFactor: false, recoveryCodes: [], version: by.user.version + 1 });
    await this.#replace(by, replaced, false);
  }

  async #changeTenant(): Promise<void> {
    const by = this.#actor();
    const tenant = this.#pick(this.#tenants);
    const body = { tier: this.#pick(['premium', 'enterprise']) };
    if (!(await this.#ask(by, 'PATCH', `/tenants/${tenant}`, body, 'platform:admin'))) return;
    this.#note(by.user.tenant, by, 'tenant changed', tenant);
  }

  async #check(): Promise<void> {
    await Promise.all(
      this.#credentials.flatMap((credential) => [checkRequests(credential, this.#next(4)), checkStreams(credential, this.#next(2) === 0)]),
    );
    // The server limits how often an invalid credential may be tried.
    this.#credentials = this.#credentials.filter(
      (credential) => credential.refusals < REFUSALS_MAX || (credential.kind === 'key' && !credential.isEnded),
    );
    const entries = await this.#readAudit();
    const sorted = (list: readonly Entry[]) => list.map((entry) => JSON.stringify(entry)).sort();
    assert.deepEqual(sorted(entries), sorted(this.#expected));
    this.#expected = [];
  }

  /** Entries of all tenants since the last call. */
  async #readAudit(): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (const tenant of this.#tenants) {
      const newest = this.#newest.get(tenant) ?? 0;
      const rows = await this.#root.visitor.get<AuditEntry[]>('GET', `/tenants/${tenant}/audit?limit=100`);
      for (const { number, actor, user, action, subject } of rows)
        if (number > newest) entries.push([tenant, actor, user ?? '', action, subject]);
      this.#newest.set(tenant, rows[0]?.number ?? 0);
    }
    return entries;
  }
}
