import { Type } from 'typebox';
import { endpoint } from './endpoint.ts';
import { PlayerId, ZoneId } from './world.ts';
import * as world from './world-resources.ts';

const zoneParams = Type.Object({ zone: ZoneId });
const playerParams = Type.Object({ player: PlayerId });
const hostParams = Type.Object({ host: Type.String({ maxLength: 64 }) });
const Store = Type.Unsafe<'hot' | 'cold'>(Type.Enum(['hot', 'cold']));

/** Who did it and why: written beside the event. */
const audited = {
  operator: Type.String({ minLength: 1, maxLength: 64, description: 'Who asks for it.' }),
  reason: Type.String({ minLength: 1, maxLength: 500, description: 'Why; it stays on record.' }),
};

/** Steps one replay may have. */
export const REPLAY_STEPS_MAX = 1_200;
/** Players one answer lists. */
export const PLAYERS_MAX = 500;

export const WORLD_ENDPOINTS = {
  getWorld: endpoint({
    method: 'GET',
    path: '/api/v1/worlds',
    tag: 'Worlds',
    summary: 'The world: its shape, its door, how many play',
    answer: world.World,
    problems: [],
  }),
  createPlayer: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/tokens',
    tag: 'Worlds',
    summary: 'Play as a new player: its id and the token to say hello with',
    body: Type.Object({ name: Type.String({ minLength: 1, maxLength: 24 }) }),
    answer: world.PlayerToken,
    problems: ['BAD_REQUEST', 'NOT_ALLOWED'],
  }),
  listZones: endpoint({
    method: 'GET',
    path: '/api/v1/worlds/zones',
    tag: 'Worlds',
    summary: 'All zones with their figures',
    answer: Type.Array(world.ZoneStand),
    problems: [],
  }),
  getZone: endpoint({
    method: 'GET',
    path: '/api/v1/worlds/zones/:zone',
    tag: 'Worlds',
    summary: 'All that stands in a zone: now, after event `seq`, or at `time`',
    params: zoneParams,
    query: Type.Object({
      seq: Type.Optional(Type.Integer({ minimum: 0, description: 'After this event.' })),
      time: Type.Optional(Type.Integer({ minimum: 0, description: 'After all that was decided up to then, epoch ms.' })),
    }),
    answer: world.ZoneMoment,
    problems: ['UNKNOWN_ZONE', 'ZONE_AWAY', 'BAD_REQUEST'],
  }),
  getZoneMap: endpoint({
    method: 'GET',
    path: '/api/v1/worlds/zones/:zone/map',
    tag: 'Worlds',
    summary: 'What stands in the way in a zone',
    params: zoneParams,
    answer: world.ZoneMap,
    problems: ['UNKNOWN_ZONE'],
  }),
  replayZone: endpoint({
    method: 'GET',
    path: '/api/v1/worlds/zones/:zone/replay',
    tag: 'Worlds',
    summary: 'A stretch of a zone’s past, step by step',
    params: zoneParams,
    query: Type.Object({
      from: Type.Integer({ minimum: 0, description: 'First moment, epoch ms.' }),
      to: Type.Integer({ minimum: 0, description: 'Last moment, epoch ms.' }),
      stepMs: Type.Optional(Type.Integer({ minimum: 50, default: 250, description: `At most ${REPLAY_STEPS_MAX} steps.` })),
    }),
    answer: world.ZoneReplay,
    problems: ['UNKNOWN_ZONE', 'BAD_REQUEST', 'BAD_TIME'],
  }),
  restoreZone: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/zones/:zone/restore',
    tag: 'Worlds',
    summary: 'Bring back into the live zone what stood there at a past moment',
    params: zoneParams,
    body: Type.Object({ seq: Type.Optional(Type.Integer({ minimum: 0 })), time: Type.Optional(Type.Integer({ minimum: 0 })), ...audited }),
    answer: world.CommandOutcome,
    problems: ['UNKNOWN_ZONE', 'ZONE_AWAY', 'BAD_REQUEST'],
  }),
  announceToZone: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/zones/:zone/announcements',
    tag: 'Worlds',
    summary: 'Tell everyone in a zone something',
    params: zoneParams,
    body: Type.Object({ text: Type.String({ minLength: 1, maxLength: 500 }), operator: audited.operator }),
    answer: world.CommandOutcome,
    problems: ['UNKNOWN_ZONE', 'ZONE_AWAY', 'BAD_REQUEST'],
  }),
  announceToAll: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/announcements',
    tag: 'Worlds',
    summary: 'Tell everyone in the world something',
    body: Type.Object({ text: Type.String({ minLength: 1, maxLength: 500 }), operator: audited.operator }),
    answer: Type.Object({ zones: Type.Integer({ description: 'Zones that were told.' }), missed: Type.Array(ZoneId) }),
    problems: ['BAD_REQUEST'],
  }),
  listSnapshots: endpoint({
    method: 'GET',
    path: '/api/v1/worlds/zones/:zone/snapshots',
    tag: 'Worlds',
    summary: 'A zone’s snapshots in both stores, newest first',
    params: zoneParams,
    answer: Type.Array(world.SnapshotStand),
    problems: ['UNKNOWN_ZONE'],
  }),
  takeSnapshot: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/zones/:zone/snapshots',
    tag: 'Worlds',
    summary: 'Take a snapshot now',
    params: zoneParams,
    body: Type.Object({ store: Store }),
    answer: Type.Array(world.SnapshotStand),
    problems: ['UNKNOWN_ZONE', 'ZONE_AWAY', 'BAD_REQUEST'],
  }),
  verifySnapshot: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/zones/:zone/snapshots/verify',
    tag: 'Worlds',
    summary: 'Read a snapshot back and check it',
    params: zoneParams,
    body: Type.Object({ store: Store, epoch: Type.Integer(), seq: Type.Integer(), time: Type.Number() }),
    answer: world.SnapshotVerdict,
    problems: ['UNKNOWN_ZONE', 'BAD_REQUEST'],
  }),
  listPlayers: endpoint({
    method: 'GET',
    path: '/api/v1/worlds/players',
    tag: 'Worlds',
    summary: 'Players by name, id or suspicion',
    query: Type.Object({
      find: Type.Optional(Type.String({ maxLength: 64, description: 'A part of the name or the id.' })),
      suspects: Type.Optional(Type.Boolean({ default: false, description: 'Only those with offences, the worst first.' })),
    }),
    answer: Type.Array(world.PlayerLine),
    problems: ['BAD_REQUEST'],
  }),
  getPlayer: endpoint({
    method: 'GET',
    path: '/api/v1/worlds/players/:player',
    tag: 'Worlds',
    summary: 'A player live, with all its components',
    params: playerParams,
    answer: world.PlayerStand,
    problems: ['UNKNOWN_PLAYER'],
  }),
  editPlayer: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/players/:player/edits',
    tag: 'Worlds',
    summary: 'Change fields of a player’s component; it is an event like any other',
    params: playerParams,
    body: Type.Object({ component: Type.String({ maxLength: 32 }), fields: Type.Record(Type.String(), Type.Unknown()), ...audited }),
    answer: world.CommandOutcome,
    problems: ['UNKNOWN_PLAYER', 'ZONE_AWAY', 'BAD_REQUEST'],
  }),
  kickPlayer: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/players/:player/kick',
    tag: 'Worlds',
    summary: 'End a player’s session',
    params: playerParams,
    body: Type.Object(audited),
    answer: world.CommandOutcome,
    problems: ['UNKNOWN_PLAYER', 'ZONE_AWAY', 'BAD_REQUEST'],
  }),
  listHosts: endpoint({
    method: 'GET',
    path: '/api/v1/worlds/hosts',
    tag: 'Worlds',
    summary: 'The zone host processes',
    answer: Type.Array(world.WorldHostStand),
    problems: [],
  }),
  drainHost: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/hosts/:host/drain',
    tag: 'Worlds',
    summary: 'Move a host’s zones elsewhere and give it no other',
    params: hostParams,
    answer: Type.Array(world.WorldHostStand),
    problems: ['UNKNOWN_HOST', 'WRONG_STATE'],
  }),
  welcomeHost: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/hosts/:host/welcome',
    tag: 'Worlds',
    summary: 'Take a drain back',
    params: hostParams,
    answer: Type.Array(world.WorldHostStand),
    problems: ['UNKNOWN_HOST'],
  }),
  replaceHost: endpoint({
    method: 'POST',
    path: '/api/v1/worlds/hosts/:host/replace',
    tag: 'Worlds',
    summary: 'Start a new host, hand over, end the old one: a rolling update without a pause',
    params: hostParams,
    answer: Type.Array(world.WorldHostStand),
    problems: ['UNKNOWN_HOST', 'WRONG_STATE'],
  }),
} as const;
