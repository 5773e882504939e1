import {
  type Account,
  type ApiKey,
  type AuditEntry,
  type AuditVerification,
  type CandleFrame,
  type CommandOutcome,
  type Connections,
  type ConsumerGroupStatus,
  type DeadLetter,
  type DeadLetterContent,
  type DrillReport,
  type Instrument,
  type Interval,
  type Invitation,
  type NewApiKey,
  type NewTenant,
  type Page,
  type Passkey,
  type PasskeyOptions,
  type PendingInvitation,
  type Permission,
  type PlayerHistoryEntry,
  type PlayerSession,
  type PlayerStatus,
  type PlayerStep,
  type PlayerSummary,
  type PlayerToken,
  type Problem,
  type Quality,
  type QuarantinedFrame,
  type QuoteResource,
  type ResetLink,
  type RestoreOutcome,
  type Role,
  rfc3339Of,
  type Server,
  type SignInOptions,
  type SignInStatus,
  type SnapshotStatus,
  type SnapshotStoreName,
  type SnapshotVerification,
  type Source,
  type Tenant,
  type Tier,
  type TradeFrame,
  type TwoFactorSetup,
  type Usage,
  type User,
  type UserSession,
  type World,
  type WorldHostStatus,
  type ZoneMap,
  type ZoneReplay,
} from '@millrace/contracts';
import { fetchWithDate } from './live/server-clock.ts';
import { reviveTime } from './live/times.ts';

/** An error response of the server; or no response (`code` UNREACHABLE, `status` 0). */
export class ApiError extends Error {
  /** A code of the catalogue at /problems; UNREACHABLE; or empty if the response is not of the server but, for example, of a proxy. */
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

async function ask<T>(path: string, method: 'GET' | 'POST' | 'PATCH' | 'DELETE' = 'GET', body?: object): Promise<T> {
  const response = await fetchWithDate(`/api/v1${path}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  }).catch((error: Error) => {
    throw new ApiError({ code: 'UNREACHABLE', detail: error.message, remedy: '', status: 0 });
  });
  if (response.status === 204) return undefined as T;
  const content = await response.text().catch(() => '');
  const { status } = response;
  const unexpected = new ApiError({ code: '', detail: `The server sent an unexpected response (status ${status}).`, remedy: '', status });
  let parsed: unknown;
  try {
    parsed = JSON.parse(content, response.ok ? reviveTime : undefined);
  } catch {
    throw unexpected;
  }
  if (response.ok) return parsed as T;
  throw isProblem(parsed) ? new ApiError(parsed) : unexpected;
}

/** True for an error of the server: a proxy may respond with JSON, too. */
function isProblem(content: unknown): content is Problem {
  return typeof content === 'object' && content !== null && 'code' in content && 'detail' in content && 'remedy' in content;
}

/** Number of newest audit log entries on a page. */
const AUDIT_ROWS = 100;
/** Maximum number of players on a page; a search filters them. */
const PLAYER_ROWS = 500;
/** Number of newest entries of a player’s history on a page. */
const HISTORY_ROWS = 100;
/** Rows per request; a longer list needs several requests. */
const PAGE_ROWS = 1_000;

/** All rows of a list, page by page. */
async function askAll<Row>(path: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query = `limit=${PAGE_ROWS}${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
    const page: Page<Row> = await ask(`${path}${path.includes('?') ? '&' : '?'}${query}`);
    rows.push(...page.data);
    cursor = page.nextCursor;
  }
  return rows;
}

/** The first rows of a list. */
const askSome = async <Row>(path: string, limit: number): Promise<Row[]> =>
  (await ask<Page<Row>>(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}`)).data;

const at = (id: string) => `/instruments/${encodeURIComponent(id)}`;
const inZone = (zone: string) => `/world/zones/${zone}`;
const deadLetterPath = (group: string, id: number) => `/consumer-groups/${group}/dead-letters/${id}`;
const ofPlayer = (player: string) => `/world/players/${player}`;

/** Operator and reason of an action, for the audit log. */
export interface Audit {
  readonly operator?: string;
  readonly reason: string;
}

/** Identifies a snapshot of a zone. */
export type SnapshotLabel = Pick<SnapshotStatus, 'store' | 'epoch' | 'seq' | 'takenAt'>;

export const api = {
  signInOptions: () => ask<SignInOptions>('/auth/options'),
  signUp: (who: { name: string; email: string; password: string; invitation?: string }) => ask<SignInStatus>('/auth/sign-up', 'POST', who),
  signIn: (email: string, password: string) => ask<SignInStatus>('/auth/sign-in', 'POST', { email, password }),
  twoFactor: (code: string) => ask<SignInStatus>('/auth/two-factor', 'POST', { code }),
  startPasskeySignIn: () => ask<PasskeyOptions>('/auth/passkey/start', 'POST'),
  signInWithPasskey: (credential: object) => ask<SignInStatus>('/auth/passkey', 'POST', { credential }),
  startProvider: (provider: string) => ask<{ url: string }>(`/auth/providers/${provider}`, 'POST'),
  signOut: () => ask<object>('/auth/sign-out', 'POST'),
  verifyEmail: (token: string) => ask<SignInStatus>('/auth/verify-email', 'POST', { token }),
  forgotPassword: (email: string) => ask<object>('/auth/forgot-password', 'POST', { email }),
  resetPassword: (token: string, password: string) => ask<object>('/auth/reset-password', 'POST', { token, password }),
  account: () => ask<Account>('/account'),
  changePassword: (current: string, next: string, endKeys: boolean) => ask<object>('/account/password', 'POST', { current, next, endKeys }),
  enableTwoFactor: (password: string) => ask<TwoFactorSetup>('/account/two-factor', 'POST', { password }),
  confirmTwoFactor: (code: string) => ask<object>('/account/two-factor/confirm', 'POST', { code }),
  disableTwoFactor: (password: string) => ask<object>('/account/two-factor/disable', 'POST', { password }),
  passkeys: () => askAll<Passkey>('/account/passkeys'),
  startPasskey: () => ask<PasskeyOptions>('/account/passkeys/start', 'POST'),
  addPasskey: (name: string, credential: object) => ask<Passkey>('/account/passkeys', 'POST', { name, credential }),
  deletePasskey: (passkey: string) => ask<object>(`/account/passkeys/${passkey}`, 'DELETE'),
  usage: () => ask<Usage>('/account/usage'),
  sessions: () => askAll<UserSession>('/account/sessions'),
  deleteSession: (session: string) => ask<object>(`/account/sessions/${session}`, 'DELETE'),
  keys: () => askAll<ApiKey>('/account/keys'),
  createApiKey: (key: { name: string; scopes: Permission[]; expiresAt?: number }) =>
    ask<NewApiKey>('/account/keys', 'POST', { ...key, ...(key.expiresAt !== undefined && { expiresAt: rfc3339Of(key.expiresAt) }) }),
  revokeApiKey: (key: string) => ask<object>(`/account/keys/${key}`, 'DELETE'),
  tenants: () => askAll<Tenant>('/tenants'),
  createTenant: (tenant: { id: string; name: string; tier: Tier }) => ask<NewTenant>('/tenants', 'POST', tenant),
  updateTenant: (tenant: string, change: { tier?: Tier }) => ask<Tenant>(`/tenants/${tenant}`, 'PATCH', change),
  users: (tenant: string) => askAll<User>(`/tenants/${tenant}/users`),
  createInvitation: (tenant: string, who: { role: Role; email?: string }) => ask<Invitation>(`/tenants/${tenant}/invitations`, 'POST', who),
  invitations: (tenant: string) => askAll<PendingInvitation>(`/tenants/${tenant}/invitations`),
  deleteInvitation: (tenant: string, invitation: string) =>
    ask<object>(`/tenants/${tenant}/invitations/${encodeURIComponent(invitation)}`, 'DELETE'),
  updateUser: (tenant: string, user: string, change: { role?: Role; disabled?: boolean }) =>
    ask<User>(`/tenants/${tenant}/users/${user}`, 'PATCH', change),
  createResetLink: (tenant: string, user: string) => ask<ResetLink>(`/tenants/${tenant}/users/${user}/password-reset`, 'POST'),
  audit: (tenant: string) => askSome<AuditEntry>(`/tenants/${tenant}/audit`, AUDIT_ROWS),
  verifyAudit: (tenant: string) => ask<AuditVerification>(`/tenants/${tenant}/audit/verify`, 'POST'),
  auditExport: (tenant: string) => `/api/v1/tenants/${tenant}/audit/export`,
  connections: () => ask<Connections>('/connections'),
  servers: () => askAll<Server>('/servers'),

  instruments: () => askAll<Instrument>('/instruments'),
  sources: () => askAll<Source>('/sources'),
  candles: (id: string, interval: Interval, limit: number, to?: number) =>
    ask<CandleFrame>(`${at(id)}/candles?interval=${interval}&limit=${limit}${to === undefined ? '' : `&to=${to}`}`),
  trades: (id: string, limit: number) => ask<TradeFrame>(`${at(id)}/trades?limit=${limit}`),
  quote: (id: string) => ask<QuoteResource>(`${at(id)}/quote`),
  quality: (id: string) => ask<Quality>(`${at(id)}/quality`),
  quarantine: (id: string) => askAll<QuarantinedFrame>(`/sources/${id}/quarantine`),
  command: (id: string, command: 'restart' | 'pause' | 'resume') => ask<Source>(`/sources/${id}/${command}`, 'POST'),

  world: () => ask<World>('/world'),
  newPlayer: (name: string) => ask<PlayerToken>('/world/players', 'POST', { name }),
  zoneMap: (zone: string) => ask<ZoneMap>(`${inZone(zone)}/map`),
  replay: (zone: string, from: number, to: number, stepMs: number) =>
    ask<ZoneReplay>(`${inZone(zone)}/replay?from=${from}&to=${to}&stepMs=${stepMs}`),
  restore: (zone: string, seq: number, audit: Audit) => ask<RestoreOutcome>(`${inZone(zone)}/restore`, 'POST', { seq, ...audit }),
  restorePlan: (zone: string, seq: number) =>
    ask<RestoreOutcome>(`${inZone(zone)}/restore`, 'POST', { seq, dryRun: true, reason: 'to see what would change' }),
  createZoneAnnouncement: (zone: string, text: string, operator: string | undefined) =>
    ask<CommandOutcome>(`${inZone(zone)}/announcements`, 'POST', { text, operator }),
  createAnnouncement: (text: string, operator: string | undefined) =>
    ask<{ zones: number; missed: string[] }>('/world/announcements', 'POST', { text, operator }),
  snapshots: (zone: string) => askAll<SnapshotStatus>(`${inZone(zone)}/snapshots`),
  createSnapshot: (zone: string, store: SnapshotStoreName) => ask<SnapshotStatus>(`${inZone(zone)}/snapshots`, 'POST', { store }),
  verifySnapshot: (zone: string, { store, epoch, seq, takenAt }: SnapshotLabel, replay: boolean) =>
    ask<SnapshotVerification>(`${inZone(zone)}/snapshots/verify`, 'POST', {
      store,
      epoch,
      seq,
      takenAt: rfc3339Of(takenAt),
      replay,
    }),
  drills: () => askAll<DrillReport>('/world/drills'),
  players: (find: string, flagged: boolean) =>
    ask<Page<PlayerSummary>>(`/world/players?find=${encodeURIComponent(find)}&flagged=${flagged}&limit=${PLAYER_ROWS}`),
  player: (player: string) => ask<PlayerStatus>(ofPlayer(player)),
  playerHistory: (player: string) => askSome<PlayerHistoryEntry>(`${ofPlayer(player)}/history`, HISTORY_ROWS),
  playerSessions: (player: string) => askSome<PlayerSession>(`${ofPlayer(player)}/sessions`, HISTORY_ROWS),
  playerSteps: (player: string, from: number, to: number) =>
    askAll<PlayerStep>(`${ofPlayer(player)}/steps?from=${from}&to=${to}&order=asc`),
  editPlayer: (player: string, component: string, fields: Record<string, unknown>, audit: Audit) =>
    ask<CommandOutcome>(`${ofPlayer(player)}/edits`, 'POST', { component, fields, ...audit }),
  kick: (player: string, audit: Audit) => ask<CommandOutcome>(`${ofPlayer(player)}/kick`, 'POST', audit),
  host: (host: string, what: 'drain' | 'undrain' | 'replace') => ask<WorldHostStatus>(`/world/hosts/${host}/${what}`, 'POST'),
  consumer: (group: string, what: 'pause' | 'resume' | 'skip') => ask<ConsumerGroupStatus>(`/consumer-groups/${group}/${what}`, 'POST'),
  deadLetters: () => askAll<DeadLetter>('/dead-letters'),
  deadLetter: (group: string, id: number) => ask<DeadLetterContent>(deadLetterPath(group, id)),
  editDeadLetter: (group: string, id: number, change: { seq: number; data: unknown } & Audit) =>
    ask<DeadLetterContent>(deadLetterPath(group, id), 'PATCH', change),
  replayDeadLetter: (group: string, id: number) => ask<{ replayed: boolean }>(`${deadLetterPath(group, id)}/replay`, 'POST'),
};
