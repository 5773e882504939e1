import type {
  CandleFrame,
  CommandOutcome,
  ConsumerStand,
  DeadLetter,
  DeadLetterContent,
  DrillReport,
  Instrument,
  Interval,
  PlayerHistory,
  PlayerLine,
  PlayerStand,
  PlayerStep,
  PlayerToken,
  Problem,
  Quality,
  QuarantinedFrame,
  QuoteResource,
  SnapshotStand,
  SnapshotStoreName,
  SnapshotVerdict,
  Source,
  TradeFrame,
  World,
  WorldHostStand,
  ZoneMap,
  ZoneReplay,
} from '@millrace/contracts';

/** What the server refused, in its own words. */
export class ApiError extends Error {
  readonly remedy: string;

  constructor(problem: Pick<Problem, 'detail' | 'remedy'>) {
    super(problem.detail);
    this.remedy = problem.remedy;
  }
}

async function ask<T>(path: string, method = 'GET', body?: object): Promise<T> {
  const response = await fetch(`/api/v1${path}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({ detail: `The server answered ${response.status}.`, remedy: '' }));
  throw new ApiError(problem);
}

const at = (id: string) => `/instruments/${encodeURIComponent(id)}`;
const inZone = (zone: string) => `/worlds/zones/${zone}`;
const ofPlayer = (player: string) => `/worlds/players/${player}`;

/** Who did something and why: it stays on record. */
export interface Audit {
  readonly operator: string;
  readonly reason: string;
}

/** Which snapshot of a zone. */
export type SnapshotLabel = Pick<SnapshotStand, 'store' | 'epoch' | 'seq' | 'time'>;

export const api = {
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
  restore: (zone: string, seq: number, audit: Audit) => ask<CommandOutcome>(`${inZone(zone)}/restore`, 'POST', { seq, ...audit }),
  announceToZone: (zone: string, text: string, operator: string) =>
    ask<CommandOutcome>(`${inZone(zone)}/announcements`, 'POST', { text, operator }),
  announceToAll: (text: string, operator: string) =>
    ask<{ zones: number; missed: string[] }>('/worlds/announcements', 'POST', { text, operator }),
  snapshots: (zone: string) => ask<SnapshotStand[]>(`${inZone(zone)}/snapshots`),
  takeSnapshot: (zone: string, store: SnapshotStoreName) => ask<SnapshotStand[]>(`${inZone(zone)}/snapshots`, 'POST', { store }),
  verifySnapshot: (zone: string, { store, epoch, seq, time }: SnapshotLabel, replay: boolean) =>
    ask<SnapshotVerdict>(`${inZone(zone)}/snapshots/verify`, 'POST', { store, epoch, seq, time, replay }),
  drills: () => ask<DrillReport[]>('/worlds/drills'),
  players: (find: string, suspects: boolean) => ask<PlayerLine[]>(`/worlds/players?find=${encodeURIComponent(find)}&suspects=${suspects}`),
  player: (player: string) => ask<PlayerStand>(ofPlayer(player)),
  playerHistory: (player: string) => ask<PlayerHistory>(`${ofPlayer(player)}/history`),
  playerSteps: (player: string, from: number, to: number) => ask<PlayerStep[]>(`${ofPlayer(player)}/steps?from=${from}&to=${to}`),
  editPlayer: (player: string, component: string, fields: Record<string, unknown>, audit: Audit) =>
    ask<CommandOutcome>(`${ofPlayer(player)}/edits`, 'POST', { component, fields, ...audit }),
  kick: (player: string, audit: Audit) => ask<CommandOutcome>(`${ofPlayer(player)}/kick`, 'POST', audit),
  host: (host: string, what: 'drain' | 'welcome' | 'replace') => ask<WorldHostStand[]>(`/worlds/hosts/${host}/${what}`, 'POST'),
  consumer: (group: string, what: 'pause' | 'resume') => ask<ConsumerStand[]>(`/consumers/${group}/${what}`, 'POST'),
  deadLetters: () => ask<DeadLetter[]>('/dead-letters'),
  deadLetter: (group: string, id: number) => ask<DeadLetterContent>(`/dead-letters/${group}/${id}`),
  mend: (group: string, id: number, mended: { seq: number; data: unknown } & Audit) =>
    ask<DeadLetterContent>(`/dead-letters/${group}/${id}/mend`, 'POST', mended),
  replayDeadLetter: (group: string, id: number) => ask<{ replayed: boolean }>(`/dead-letters/${group}/${id}/replay`, 'POST'),
};
