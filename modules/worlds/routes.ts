import { randomUUID } from 'node:crypto';
import {
  type CommandOutcome,
  type DrillReport,
  type EditableComponent,
  ENDPOINTS,
  type Endpoint,
  PAGE_ROWS,
  type Page,
  type PlayerHistoryEntry,
  type PlayerId,
  type PlayerSession,
  type PlayerStatus,
  type PlayerStep,
  type PlayerSummary,
  REPLAY_STEPS_MAX,
  rfc3339Of,
  type SnapshotStatus,
  type WorldCommand,
  type WorldHostStatus,
  type ZoneId,
  type ZonePointInTime,
  type ZoneRecord,
} from '@millrace/contracts';
import { type CommandMeta, messageOf, type PointInTime, type Reply, type Snapshot, zoneAddress } from '@millrace/kernel';
import { ApiProblem, decodeCursor, operatorOf, pageOf, type Request, type Routes } from '@millrace/platform/http';
import type { Gateway } from './gateway.ts';
import { hashOf } from './inspect.ts';
import { liveZone, zoneUnavailable } from './live-zone.ts';
import { NotOnRecord, type RecordedTimes, recordBefore, recordOf, replayZone, type WorldRecord, zoneAtPoint } from './past.ts';
import { firstPlayers, placeOf } from './player-list.ts';
import { issuePlayerToken, type PlayerTokenParts } from './player-tokens.ts';
import { restoreZone } from './restore-zone.ts';
import { playerStatus, type WorldConnectionInfo, worldStatus, zoneStatuses } from './status.ts';
import type { Placed, PlayerQuery } from './tables/history.ts';
import { allZones, packedTiles } from './terrain.ts';
import type { World } from './world-state.ts';
import { worldZone } from './zone.ts';

/** Older snapshots that a refusal names. */
const OLDER_MAX = 5;

/** The processes that carry the zones, as operators may handle them. */
export interface HostControl {
  statuses(): WorldHostStatus[];
  /** False when there is no such host. */
  drain(host: string): boolean;
  /** Lets a drained host accept zones again. False when there is no such host. */
  undrain(host: string): boolean;
  replace(host: string): boolean;
}

export interface WorldParts extends WorldConnectionInfo, PlayerTokenParts {
  readonly gateway: Gateway;
  readonly hosts: HostControl;
  readonly record: Omit<WorldRecord, 'newest'>;
  /** Asks the tables; rejects while they are away. */
  readonly history: (query: PlayerQuery) => Promise<unknown>;
  /** Reports of recovery drills, newest first. */
  readonly drills: () => DrillReport[];
}

type Unlimited<Query> = Query extends unknown ? Omit<Query, 'limit'> : never;

/** The operators’ API of the world. */
export function worldRoutes(routes: Routes, parts: WorldParts): void {
  const { gateway, plan, hosts } = parts;
  const zones = allZones(plan);
  const newest = async (zone: ZoneId) => ((await gateway.ask({ about: 'seq', zone })) as { seq: number } | null)?.seq ?? null;
  const record: WorldRecord = { ...parts.record, newest };

  routes.handle(ENDPOINTS.getWorld, () => worldStatus(gateway, parts));
  routes.handle(ENDPOINTS.createPlayer, ({ body, principal: { user } }) => issuePlayerToken(parts, user, body));

  routes.list(
    ENDPOINTS.listZones,
    ({ zone }) => zone,
    () => zoneStatuses(gateway),
  );
  routes.handle(ENDPOINTS.getZone, async ({ params, query }) => {
    const zone = requireZone(params.zone);
    const started = performance.now();
    const point = pointInTimeOf(query);
    if (point === null) return zoneResource(zone, await liveZone(gateway, zone), Date.now(), true, started);
    return zoneResource(
      zone,
      await recorded(zone, () => zoneAtPoint(record, zone, point)),
      'time' in point ? point.time : null,
      false,
      started,
    );
  });
  routes.handle(ENDPOINTS.getZoneRecord, async ({ params }) => recordResource(await recordOf(record, requireZone(params.zone))));
  routes.handle(ENDPOINTS.getZoneMap, ({ params }) => {
    const zone = requireZone(params.zone);
    return { zone, blocked: Buffer.from(packedTiles(plan, zone)).toString('base64') };
  });
  routes.handle(ENDPOINTS.replayZone, async ({ params, query: { from, to, stepMs = 250 } }) => {
    const zone = requireZone(params.zone);
    if (to < from) throw new ApiProblem('INVALID_TIME', `from=${rfc3339Of(from)} is after to=${rfc3339Of(to)}.`, 'Swap from and to.');
    if ((to - from) / stepMs > REPLAY_STEPS_MAX)
      throw new ApiProblem(
        'BAD_REQUEST',
        `The range has ${Math.ceil((to - from) / stepMs)} steps.`,
        `At most ${REPLAY_STEPS_MAX} steps are allowed. Use a shorter range or a larger stepMs.`,
      );
    requirePast(from);
    const points = await recorded(zone, () => replayZone(record, zone, { from, to, stepMs }));
    return { zone, points: points.map(({ time, ...point }) => ({ stateAt: time, ...point })) };
  });
  routes.handle(ENDPOINTS.restoreZone, async ({ params, body, principal, raw }) => {
    const zone = requireZone(params.zone);
    const point = pointInTimeOf({ ...body, time: body.stateAt });
    if (point === null) throw new ApiProblem('BAD_REQUEST', 'Neither seq nor stateAt was given.', 'Give one of them.');
    const request = { point, operator: operatorOf(principal, body), reason: body.reason, dryRun: body.dryRun === true };
    const ports = { gateway, zones, record, decide: (to: ZoneId, command: WorldCommand) => decide(to, command, { principal, raw }) };
    return recorded(zone, () => restoreZone(ports, zone, request));
  });
  routes.handle(ENDPOINTS.createZoneAnnouncement, ({ params, body, principal, raw }) =>
    decide(requireZone(params.zone), { type: 'Announce', text: body.text, operator: operatorOf(principal, body) }, { principal, raw }),
  );
  routes.handle(ENDPOINTS.createAnnouncement, async ({ body, principal, raw }) => {
    const announcement = { type: 'Announce', text: body.text, operator: operatorOf(principal, body) } as const;
    const outcomes = await Promise.all(zones.map((zone) => gateway.command(zone, announcement, metaOf({ principal, raw }))));
    const missed = zones.filter((_zone, index) => !(outcomes[index] as Reply | null)?.ok);
    return { zones: zones.length - missed.length, missed };
  });

  routes.list(
    ENDPOINTS.listSnapshots,
    ({ store, epoch, seq, takenAt }) => `${store} ${epoch} ${seq} ${takenAt}`,
    ({ params }) => snapshotsOf(requireZone(params.zone)),
  );
  routes.handle(ENDPOINTS.createSnapshot, async ({ params, body: { store } }) => {
    const zone = requireZone(params.zone);
    const taken = (await gateway.ask({ about: 'snapshot', zone, store })) as { readonly failure: string | null } | null;
    if (taken === null) throw zoneUnavailable(zone);
    if (taken.failure !== null)
      throw new ApiProblem(
        'SNAPSHOT_FAILED',
        `No ${store} snapshot of zone ${zone} was stored: ${taken.failure}.`,
        'Check GET /health/ready and the alerts. The zone keeps running, and the snapshot is retried automatically.',
      );
    const newest = (await snapshotsOf(zone)).find((snapshot) => snapshot.store === store);
    if (!newest)
      throw new ApiProblem(
        'SNAPSHOT_FAILED',
        `The ${store} snapshot of zone ${zone} cannot be found.`,
        'Check the alerts, then try again.',
      );
    return newest;
  });
  routes.handle(ENDPOINTS.verifySnapshot, async ({ params, body: { store, replay = false, epoch, seq, takenAt } }) => {
    const label = { epoch, seq, time: takenAt };
    const zone = requireZone(params.zone);
    try {
      const snapshot: Snapshot = await record[store].load({ zone: zoneAddress(worldZone.kind, zone), ...label });
      const state = snapshot.state as World;
      const replayed = replay ? await zoneAtPoint(recordBefore(record, label.seq), zone, { seq: label.seq }) : null;
      return {
        valid: true,
        detail: 'Integrity OK.',
        hash: hashOf(state),
        players: Object.keys(state.players).length,
        replayedHash: replayed?.hash ?? null,
      };
    } catch (error) {
      return { valid: false, detail: messageOf(error), hash: null, players: null, replayedHash: null };
    }
  });

  routes.handle(ENDPOINTS.listPlayers, async ({ query: { find = '', flagged = false, cursor, limit = PAGE_ROWS } }) => {
    const after = cursor === undefined ? null : decodeCursor(cursor, ['number', 'string', 'string']);
    const question = { about: 'players', find: find.toLowerCase(), flagged, after, limit: limit + 1 } as const;
    const answers = await Promise.all(zones.map((zone) => gateway.ask({ ...question, zone })));
    const found = answers.flatMap((answer) => (answer as PlayerSummary[] | null) ?? []);
    return pageOf(firstPlayers(found, after, limit + 1), limit, placeOf);
  });
  routes.handle(ENDPOINTS.getPlayer, async ({ params: { player } }) => {
    requireZoneOf(player);
    return (await playerStatus(gateway, player)) as PlayerStatus;
  });
  routes.handle(ENDPOINTS.listPlayerHistory, ({ params: { player }, query: { cursor, limit = PAGE_ROWS } }) =>
    playerPage<PlayerHistoryEntry>(limit, {
      about: 'history',
      player,
      after: cursor === undefined ? null : decodeCursor(cursor, ['number', 'string', 'number', 'number']),
    }),
  );
  routes.handle(ENDPOINTS.listPlayerSessions, ({ params: { player }, query: { cursor, limit = PAGE_ROWS } }) =>
    playerPage<PlayerSession>(limit, {
      about: 'sessions',
      player,
      after: cursor === undefined ? null : decodeCursor(cursor, ['number', 'string']),
    }),
  );
  routes.handle(ENDPOINTS.listPlayerSteps, ({ params: { player }, query: { from, to, order = 'desc', cursor, limit = PAGE_ROWS } }) =>
    playerPage<PlayerStep>(limit, {
      about: 'steps',
      player,
      from,
      to,
      order,
      after: cursor === undefined ? null : decodeCursor(cursor, ['number', 'string', 'number']),
    }),
  );
  routes.handle(ENDPOINTS.editPlayer, ({ params: { player }, body: { fields, reason, ...body }, principal, raw }) => {
    const operator = operatorOf(principal, body);
    const component = body.component as EditableComponent;
    return decide(requireZoneOf(player), { type: 'EditPlayer', player, component, fields, operator, reason }, { principal, raw });
  });
  routes.handle(ENDPOINTS.kickPlayer, ({ params: { player }, body, principal, raw }) =>
    decide(
      requireZoneOf(player),
      { type: 'KickPlayer', player, operator: operatorOf(principal, body), reason: body.reason },
      { principal, raw },
    ),
  );

  routes.list(ENDPOINTS.listDrills, ({ startedAt }) => startedAt, parts.drills);
  routes.list(
    ENDPOINTS.listHosts,
    ({ id }) => id,
    () => hosts.statuses(),
  );
  routes.handle(ENDPOINTS.drainHost, ({ params: { host } }) => {
    requireHost(host);
    if (hosts.statuses().filter(({ id, state }) => id !== host && state === 'up').length === 0)
      throw new ApiProblem('CONFLICT', `${host} is the only host that accepts zones.`, 'Use replace: it starts another host first.');
    hosts.drain(host);
    return hostStatus(host);
  });
  routes.handle(ENDPOINTS.undrainHost, ({ params: { host } }) => {
    requireHost(host);
    hosts.undrain(host);
    return hostStatus(host);
  });
  routes.handle(ENDPOINTS.replaceHost, ({ params: { host } }) => {
    requireHost(host);
    if (!hosts.replace(host))
      throw new ApiProblem(
        'CONFLICT',
        `${host} cannot be replaced now.`,
        'It is starting, is already being replaced, or runs inside the server process.',
      );
    return hostStatus(host);
  });

  /** What the record says, or a problem that tells what it does say. */
  async function recorded<T>(zone: ZoneId, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof NotOnRecord)) throw error;
      const { from, to, snapshots } = await recordOf(record, zone);
      const older =
        snapshots.length > 0 ? ` Before that there are snapshots of ${snapshots.slice(-OLDER_MAX).map(pointText).join(', ')}.` : '';
      const known = from
        ? `Ask for a time or seq from ${pointText(from)} to ${to ? pointText(to) : 'now'}.${older}`
        : `Nothing else is known.${older}`;
      throw new ApiProblem(
        'POINT_IN_TIME_UNAVAILABLE',
        `The state of zone ${zone} at that time is not available: ${error.message}.`,
        known,
      );
    }
  }

  /** A page of what the database has recorded about a player. */
  async function playerPage<Row>(limit: number, query: Unlimited<PlayerQuery>): Promise<Page<Row>> {
    try {
      const found = (await parts.history({ ...query, limit: limit + 1 })) as Placed<Row, readonly (string | number)[]>[];
      const { data, ...rest } = pageOf(found, limit, ({ place }) => place);
      return { data: data.map(({ row }) => row), ...rest };
    } catch (error) {
      throw new ApiProblem(
        'DATABASE_UNAVAILABLE',
        `The database cannot be read: ${messageOf(error)}.`,
        'Players are not affected. Try again in a moment.',
      );
    }
  }

  function requireZone(zone: ZoneId): ZoneId {
    if (!zones.includes(zone))
      throw new ApiProblem('UNKNOWN_ZONE', `Unknown zone "${zone}".`, `Zones go from 0-0 to ${plan.columns - 1}-${plan.rows - 1}.`);
    return zone;
  }

  function requireZoneOf(player: PlayerId): ZoneId {
    const zone = gateway.zoneOf(player);
    if (zone === undefined)
      throw new ApiProblem('UNKNOWN_PLAYER', `Unknown player "${player}".`, 'GET /api/v1/world/players?find= searches players.');
    return zone;
  }

  function hostStatus(host: string): WorldHostStatus {
    return hosts.statuses().find(({ id }) => id === host) ?? requireHost(host);
  }

  function requireHost(host: string): WorldHostStatus {
    const status = hosts.statuses().find(({ id }) => id === host);
    if (!status)
      throw new ApiProblem(
        'UNKNOWN_HOST',
        `Unknown zone host "${host}".`,
        `Zone hosts: ${hosts
          .statuses()
          .map(({ id }) => id)
          .join(', ')}.`,
      );
    return status;
  }

  async function decide(zone: ZoneId, command: WorldCommand, asked: Asked): Promise<CommandOutcome> {
    const reply = (await gateway.command(zone, command, metaOf(asked))) as CommandOutcome | null;
    if (reply) return reply;
    if ((await newest(zone)) === null) throw zoneUnavailable(zone);
    throw new ApiProblem(
      'NOT_CONFIRMED',
      `Zone ${zone} accepted the command, but the log did not confirm it in time.`,
      'It may still take effect. Check the state before you send it again. GET /health/ready reports the state of the log.',
    );
  }

  async function snapshotsOf(zone: ZoneId): Promise<SnapshotStatus[]> {
    const address = zoneAddress(worldZone.kind, zone);
    const statuses = await Promise.all(
      (['hot', 'cold'] as const).map(async (store) => {
        const labels = await record[store].list(address).catch(() => []);
        return labels.map(({ epoch, seq, time }) => ({ zone, store, epoch, seq, takenAt: time }));
      }),
    );
    return statuses.flat().sort((one, other) => other.takenAt - one.takenAt);
  }
}

function pointInTimeOf({ seq, time }: { seq?: number | undefined; time?: number | undefined }): PointInTime | null {
  if (seq !== undefined && time !== undefined)
    throw new ApiProblem('BAD_REQUEST', `Both seq=${seq} and the time ${rfc3339Of(time)} were given.`, 'Give one of them.');
  if (seq !== undefined) return { seq };
  if (time === undefined) return null;
  requirePast(time);
  return { time };
}

function requirePast(time: number): void {
  if (time > Date.now()) throw new ApiProblem('INVALID_TIME', `${rfc3339Of(time)} is in the future.`, 'Give a past time.');
}

const pointText = ({ seq, time }: { seq: number; time: number }) => `event ${seq} (${new Date(time).toISOString()})`;

function recordResource({ zone, from, to, snapshots }: RecordedTimes): ZoneRecord {
  const resourceOf = ({ seq, time }: { seq: number; time: number }) => ({ seq, stateAt: time });
  return { zone, from: from && resourceOf(from), to: to && resourceOf(to), snapshots: snapshots.map(resourceOf) };
}

function zoneResource(
  zone: ZoneId,
  { state, seq, hash }: { state: World; seq: number; hash: string },
  stateAt: number | null,
  live: boolean,
  started: number,
): ZonePointInTime {
  return {
    zone,
    seq,
    stateAt,
    live,
    hash,
    players: Object.values(state.players),
    monsters: Object.values(state.monsters),
    items: Object.values(state.items),
    inTransit: Object.keys(state.departures),
    tookMs: Math.round((performance.now() - started) * 100) / 100,
  };
}

/** Who asks for something, and in which request. */
type Asked = Pick<Request<Endpoint>, 'principal' | 'raw'>;

/** What is written beside the events of an operator’s command: in which request it came, and whose it was. */
function metaOf({ principal, raw }: Asked): CommandMeta {
  return { id: randomUUID(), correlation: raw.id, tenant: principal.tenant, ...(principal.user !== null && { actor: principal.user }) };
}
