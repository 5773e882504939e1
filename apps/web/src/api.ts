import type {
  Account,
  ApiKey,
  AuditLine,
  AuditVerdict,
  CandleFrame,
  CommandOutcome,
  Connections,
  ConsumerGroupStatus,
  DeadLetter,
  DeadLetterContent,
  DrillReport,
  Instrument,
  Interval,
  Invitation,
  Member,
  NewApiKey,
  Passkey,
  PasskeyOptions,
  PendingInvitation,
  Permission,
  PlayerHistory,
  PlayerLine,
  PlayerStatus,
  PlayerStep,
  PlayerToken,
  Problem,
  Quality,
  QuarantinedFrame,
  QuoteResource,
  ResetLink,
  RestoreOutcome,
  Role,
  SecondFactorSetup,
  Server,
  SignInOptions,
  SignInStatus,
  SnapshotStatus,
  SnapshotStoreName,
  SnapshotVerdict,
  Source,
  Tenant,
  Tier,
  TradeFrame,
  Usage,
  UserSession,
  World,
  WorldHostStatus,
  ZoneMap,
  ZoneReplay,
} from '@millrace/contracts';

/** What the server refused, in its own words; or that there was no answer (`code` UNREACHABLE, `status` 0). */
export class ApiError extends Error {
  /** Of the catalogue at /problems; empty when something between answered instead. */
  readonly code: string;
  readonly remedy: string;
  readonly status: number;

  constructor(problem: Pick<Problem, 'code' | 'detail' | 'remedy' | 'status'>) {
    super(problem.detail);
    this.code = problem.code;
    this.remedy = problem.remedy;
    this.status = problem.status;
  }
}

async function ask<T>(path: string, method = 'GET', body?: object): Promise<T> {
  const response = await fetch(`/api/v1${path}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  }).catch((error: Error) => {
    throw new ApiError({ code: 'UNREACHABLE', detail: error.message, remedy: '', status: 0 });
  });
  if (response.ok) return response.json();
  const problem = await response
    .json()
    .catch(() => ({ code: '', detail: `The server answered ${response.status}.`, remedy: '', status: response.status }));
  throw new ApiError(problem);
}

const at = (id: string) => `/instruments/${encodeURIComponent(id)}`;
const inZone = (zone: string) => `/worlds/zones/${zone}`;
const ofPlayer = (player: string) => `/worlds/players/${player}`;

/** Who did something and why: it stays on record. */
export interface Audit {
  readonly operator?: string;
  readonly reason: string;
}

/** Which snapshot of a zone. */
export type SnapshotLabel = Pick<SnapshotStatus, 'store' | 'epoch' | 'seq' | 'time'>;

export const api = {
  signInOptions: () => ask<SignInOptions>('/auth/options'),
  signUp: (who: { name: string; email: string; password: string; invitation?: string }) => ask<SignInStatus>('/auth/sign-up', 'POST', who),
  signIn: (email: string, password: string) => ask<SignInStatus>('/auth/sign-in', 'POST', { email, password }),
  secondFactor: (code: string) => ask<SignInStatus>('/auth/second-factor', 'POST', { code }),
  startPasskeySignIn: () => ask<PasskeyOptions>('/auth/passkey/start', 'POST'),
  signInWithPasskey: (credential: object) => ask<SignInStatus>('/auth/passkey', 'POST', { credential }),
  startProvider: (provider: string) => ask<{ url: string }>(`/auth/providers/${provider}`, 'POST'),
  signOut: () => ask<object>('/auth/sign-out', 'POST'),
  verifyEmail: (token: string) => ask<SignInStatus>('/auth/verify-email', 'POST', { token }),
  forgotPassword: (email: string) => ask<object>('/auth/forgot-password', 'POST', { email }),
  resetPassword: (token: string, password: string) => ask<object>('/auth/reset-password', 'POST', { token, password }),
  account: () => ask<Account>('/account'),
  changePassword: (current: string, next: string, endKeys: boolean) => ask<object>('/account/password', 'POST', { current, next, endKeys }),
  enableSecondFactor: (password: string) => ask<SecondFactorSetup>('/account/second-factor', 'POST', { password }),
  confirmSecondFactor: (code: string) => ask<object>('/account/second-factor/confirm', 'POST', { code }),
  disableSecondFactor: (password: string) => ask<object>('/account/second-factor/disable', 'POST', { password }),
  passkeys: () => ask<Passkey[]>('/account/passkeys'),
  startPasskey: () => ask<PasskeyOptions>('/account/passkeys/start', 'POST'),
  addPasskey: (name: string, credential: object) => ask<Passkey>('/account/passkeys', 'POST', { name, credential }),
  removePasskey: (passkey: string) => ask<object>(`/account/passkeys/${passkey}`, 'DELETE'),
  usage: () => ask<Usage>('/account/usage'),
  sessions: () => ask<UserSession[]>('/account/sessions'),
  endSession: (session: string) => ask<object>(`/account/sessions/${session}`, 'DELETE'),
  keys: () => ask<ApiKey[]>('/account/keys'),
  createKey: (key: { name: string; scopes: Permission[]; expiresAt?: number }) => ask<NewApiKey>('/account/keys', 'POST', key),
  revokeKey: (key: string) => ask<object>(`/account/keys/${key}`, 'DELETE'),
  tenants: () => ask<Tenant[]>('/tenants'),
  createTenant: (tenant: { id: string; name: string; tier: Tier }) => ask<Invitation>('/tenants', 'POST', tenant),
  changeTenant: (tenant: string, change: { tier?: Tier }) => ask<Tenant>(`/tenants/${tenant}`, 'POST', change),
  members: (tenant: string) => ask<Member[]>(`/tenants/${tenant}/users`),
  invite: (tenant: string, who: { role: Role; email?: string }) => ask<Invitation>(`/tenants/${tenant}/invitations`, 'POST', who),
  invitations: (tenant: string) => ask<PendingInvitation[]>(`/tenants/${tenant}/invitations`),
  withdrawInvitation: (tenant: string, invitation: string) =>
    ask<object>(`/tenants/${tenant}/invitations/${encodeURIComponent(invitation)}`, 'DELETE'),
  changeMember: (tenant: string, user: string, change: { role?: Role; disabled?: boolean }) =>
    ask<Member>(`/tenants/${tenant}/users/${user}`, 'POST', change),
  createResetLink: (tenant: string, user: string) => ask<ResetLink>(`/tenants/${tenant}/users/${user}/password-reset`, 'POST'),
  audit: (tenant: string) => ask<AuditLine[]>(`/tenants/${tenant}/audit`),
  verifyAudit: (tenant: string) => ask<AuditVerdict>(`/tenants/${tenant}/audit/verify`, 'POST'),
  auditExport: (tenant: string) => `/api/v1/tenants/${tenant}/audit/export`,
  connections: () => ask<Connections>('/connections'),
  servers: () => ask<Server[]>('/servers'),

  instruments: () => ask<Instrument[]>('/instruments'),
  sources: () => ask<Source[]>('/sources'),
  candles: (id: string, interval: Interval, limit: number, to?: number) =>
    ask<CandleFrame>(`${at(id)}/candles?interval=${interval}&limit=${limit}${to === undefined ? '' : `&to=${to}`}`),
  trades: (id: string, limit: number) => ask<TradeFrame>(`${at(id)}/trades?limit=${limit}`),
  quote: (id: string) => ask<QuoteResource>(`${at(id)}/quote`),
  quality: (id: string) => ask<Quality>(`${at(id)}/quality`),
  quarantine: (id: string) => ask<QuarantinedFrame[]>(`/sources/${id}/quarantine`),
  command: (id: string, command: 'restart' | 'pause' | 'resume') => ask<Source>(`/sources/${id}/${command}`, 'POST'),

  world: () => ask<World>('/worlds'),
  newPlayer: (name: string) => ask<PlayerToken>('/worlds/tokens', 'POST', { name }),
  zoneMap: (zone: string) => ask<ZoneMap>(`${inZone(zone)}/map`),
  replay: (zone: string, from: number, to: number, stepMs: number) =>
    ask<ZoneReplay>(`${inZone(zone)}/replay?from=${from}&to=${to}&stepMs=${stepMs}`),
  restore: (zone: string, seq: number, audit: Audit) => ask<RestoreOutcome>(`${inZone(zone)}/restore`, 'POST', { seq, ...audit }),
  restorePlan: (zone: string, seq: number) =>
    ask<RestoreOutcome>(`${inZone(zone)}/restore`, 'POST', { seq, dryRun: true, reason: 'to see what would change' }),
  announceToZone: (zone: string, text: string, operator: string | undefined) =>
    ask<CommandOutcome>(`${inZone(zone)}/announcements`, 'POST', { text, operator }),
  announceToAll: (text: string, operator: string | undefined) =>
    ask<{ zones: number; missed: string[] }>('/worlds/announcements', 'POST', { text, operator }),
  snapshots: (zone: string) => ask<SnapshotStatus[]>(`${inZone(zone)}/snapshots`),
  takeSnapshot: (zone: string, store: SnapshotStoreName) => ask<SnapshotStatus[]>(`${inZone(zone)}/snapshots`, 'POST', { store }),
  verifySnapshot: (zone: string, { store, epoch, seq, time }: SnapshotLabel, replay: boolean) =>
    ask<SnapshotVerdict>(`${inZone(zone)}/snapshots/verify`, 'POST', { store, epoch, seq, time, replay }),
  drills: () => ask<DrillReport[]>('/worlds/drills'),
  players: (find: string, suspects: boolean) => ask<PlayerLine[]>(`/worlds/players?find=${encodeURIComponent(find)}&suspects=${suspects}`),
  player: (player: string) => ask<PlayerStatus>(ofPlayer(player)),
  playerHistory: (player: string) => ask<PlayerHistory>(`${ofPlayer(player)}/history`),
  playerSteps: (player: string, from: number, to: number) => ask<PlayerStep[]>(`${ofPlayer(player)}/steps?from=${from}&to=${to}`),
  editPlayer: (player: string, component: string, fields: Record<string, unknown>, audit: Audit) =>
    ask<CommandOutcome>(`${ofPlayer(player)}/edits`, 'POST', { component, fields, ...audit }),
  kick: (player: string, audit: Audit) => ask<CommandOutcome>(`${ofPlayer(player)}/kick`, 'POST', audit),
  host: (host: string, what: 'drain' | 'welcome' | 'replace') => ask<WorldHostStatus[]>(`/worlds/hosts/${host}/${what}`, 'POST'),
  consumer: (group: string, what: 'pause' | 'resume' | 'skip') => ask<ConsumerGroupStatus[]>(`/consumers/${group}/${what}`, 'POST'),
  deadLetters: () => ask<DeadLetter[]>('/dead-letters'),
  deadLetter: (group: string, id: number) => ask<DeadLetterContent>(`/dead-letters/${group}/${id}`),
  mend: (group: string, id: number, mended: { seq: number; data: unknown } & Audit) =>
    ask<DeadLetterContent>(`/dead-letters/${group}/${id}/mend`, 'POST', mended),
  replayDeadLetter: (group: string, id: number) => ask<{ replayed: boolean }>(`/dead-letters/${group}/${id}/replay`, 'POST'),
};
