import {
  ENDPOINTS,
  REPLAY_STEPS_MAX,
  rfc3339Of,
  type WorldCommand,
  type WorldPlan,
  type ZoneId,
  type ZonePointInTime,
} from '@millrace/contracts';
import { ApiProblem, operatorOf, type Routes } from '@millrace/http';
import type { Reply } from '@millrace/kernel';
import { liveZone } from '../live-zone.ts';
import { recordOf, replayZone, zoneAtPoint } from '../record/past.ts';
import { restoreZone } from '../record/restore-zone.ts';
import { zoneStatuses } from '../status.ts';
import { packedTiles } from '../zone/terrain.ts';
import type { World } from '../zone/world-state.ts';
import { pointInTimeOf, readPast, recordResource, requirePast } from './points-in-time.ts';
import { commandMeta, type Sender, type ZoneAccess } from './zone-access.ts';

/** Time between two states of a replay, ms, when the request does not set it. */
const REPLAY_STEP_MS = 250;

/** Routes of zones: live and past state, maps, restores and announcements. */
export function zoneRoutes(routes: Routes, zones: ZoneAccess, plan: WorldPlan): void {
  const { gateway, record } = zones;
  routes.list(
    ENDPOINTS.listZones,
    ({ zone }) => zone,
    () => zoneStatuses(gateway),
  );
  routes.handle(ENDPOINTS.getZone, ({ params, query }) => zoneAt(zones, zones.require(params.zone), query));
  routes.handle(ENDPOINTS.getZoneRecord, async ({ params }) => recordResource(await recordOf(record, zones.require(params.zone))));
  routes.handle(ENDPOINTS.getZoneMap, async ({ params }) => {
    const zone = zones.require(params.zone);
    // A zone keeps its map when the configuration gets another seed.
    const live = (await gateway.ask({ about: 'seq', zone }, 'now')) as { seed: number | null } | null;
    return { zone, blocked: Buffer.from(packedTiles({ seed: live?.seed ?? plan.seed }, zone)).toString('base64') };
  });
  routes.handle(ENDPOINTS.replayZone, async ({ params, query: { from, to, stepMs = REPLAY_STEP_MS } }) => {
    const zone = zones.require(params.zone);
    requireReplayRange(from, to, stepMs);
    const points = await readPast(record, zone, () => replayZone(record, zone, { from, to, stepMs }));
    return { zone, points: points.map(({ time, ...point }) => ({ stateAt: time, ...point })) };
  });
  routes.handle(ENDPOINTS.restoreZone, async ({ params, body, principal, raw }) => {
    const zone = zones.require(params.zone);
    const point = pointInTimeOf({ ...body, time: body.stateAt });
    if (point === null) throw new ApiProblem('BAD_REQUEST', 'Neither seq nor stateAt was given.', 'Give one of them.');
    const request = { point, operator: operatorOf(principal, body), reason: body.reason, dryRun: body.dryRun === true };
    const decide = (to: ZoneId, command: WorldCommand) => zones.decide(to, command, { principal, raw });
    return readPast(record, zone, () => restoreZone({ gateway, zones: zones.zones, record, decide }, zone, request));
  });
  routes.handle(ENDPOINTS.createZoneAnnouncement, ({ params, body, principal, raw }) =>
    zones.decide(
      zones.require(params.zone),
      { type: 'Announce', text: body.text, operator: operatorOf(principal, body) },
      { principal, raw },
    ),
  );
  routes.handle(ENDPOINTS.createAnnouncement, ({ body, principal, raw }) =>
    announceEverywhere(zones, { type: 'Announce', text: body.text, operator: operatorOf(principal, body) }, { principal, raw }),
  );
}

/** A zone as it is now, or as it was at the point in time of the query. */
async function zoneAt(
  { gateway, record }: ZoneAccess,
  zone: ZoneId,
  query: { readonly seq?: number; readonly time?: number },
): Promise<ZonePointInTime> {
  const startedAt = performance.now();
  const point = pointInTimeOf(query);
  if (point === null) return zoneResource(zone, await liveZone(gateway, zone), Date.now(), true, startedAt);
  const past = await readPast(record, zone, () => zoneAtPoint(record, zone, point));
  return zoneResource(zone, past, 'time' in point ? point.time : null, false, startedAt);
}

function requireReplayRange(from: number, to: number, stepMs: number): void {
  if (to < from) throw new ApiProblem('INVALID_TIME', `from=${rfc3339Of(from)} is after to=${rfc3339Of(to)}.`, 'Swap from and to.');
  if ((to - from) / stepMs > REPLAY_STEPS_MAX)
    throw new ApiProblem(
      'BAD_REQUEST',
      `The range has ${Math.ceil((to - from) / stepMs)} steps.`,
      `At most ${REPLAY_STEPS_MAX} steps are allowed. Use a shorter range or a larger stepMs.`,
    );
  requirePast(from);
}

async function announceEverywhere({ gateway, zones }: ZoneAccess, announcement: WorldCommand, sender: Sender) {
  const outcomes = await Promise.all(zones.map((zone) => gateway.command(zone, announcement, commandMeta(sender))));
  const missed = zones.filter((_zone, index) => !(outcomes[index] as Reply | null)?.ok);
  return { zones: zones.length - missed.length, missed };
}

/** @param startedAt ms of `performance.now()` when the request began to be handled */
function zoneResource(
  zone: ZoneId,
  { state, seq, hash }: { state: World; seq: number; hash: string },
  stateAt: number | null,
  live: boolean,
  startedAt: number,
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
    tookMs: Math.round((performance.now() - startedAt) * 100) / 100,
  };
}
