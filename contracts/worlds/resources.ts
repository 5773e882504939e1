import { type Static, Type } from 'typebox';
import { DateTime } from '../instant.ts';
import { GroundItem, Monster, Player, PlayerId, WorldPlan, ZoneId } from './world.ts';
import { SeenObject } from './world-wire.ts';

const Ms = (description: string) => Type.Number({ description: `${description}, ms.` });
const Count = (description: string) => Type.Integer({ minimum: 0, description });
const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Store = Type.Unsafe<'hot' | 'cold'>(Type.Enum(['hot', 'cold']));
export type SnapshotStoreName = 'hot' | 'cold';

export const World = Type.Object(
  {
    plan: WorldPlan,
    tcpPort: Type.Integer({ description: 'TCP port for players. Protocol: docs/protocols/world.md.' }),
    socketPath: Type.String({ description: 'Path of the WebSocket for players.' }),
    guests: Type.Boolean({ description: 'True if guests can play without a user account.' }),
    zonesOpen: Count('Number of open zones. The world has columns times rows.'),
    connections: Count('Number of open player connections.'),
    playing: Count('Number of sessions in a zone.'),
    sessions: Count('Number of sessions, including those without a connection.'),
    knownPlayers: Count('Number of players in all zones, awake or asleep.'),
    updatesPerSecond: Type.Number({ description: 'Update rate: updates per second to each player. 10, or less under high load.' }),
    decisionMs: Type.Object({
      p50: Nullable(Ms('Median decision time of the newest commands')),
      p99: Nullable(Ms('99th percentile of the decision time of the newest commands')),
    }),
    refusals: Type.Record(Type.String(), Type.Integer(), { description: 'Commands refused since start, by refusal code.' }),
    disconnects: Type.Record(Type.String(), Type.Integer(), {
      description: 'Connections ended by the server since start, by disconnect reason.',
    }),
  },
  { $id: 'World', description: 'The world: its plan, connection addresses and counts.' },
);
export type World = Static<typeof World>;

export const WorldZoneStatus = Type.Object(
  {
    zone: ZoneId,
    host: Nullable(Type.String({ description: 'Id of the zone host. Null while the zone moves between hosts.' })),
    sessions: Count('Number of players with a session in the zone (CCU).'),
    awake: Count('Number of players awake.'),
    asleep: Count('Number of players asleep.'),
    inTransit: Count('Number of players in transit to a neighbour zone.'),
    flagged: Count('Number of players with violations.'),
    seq: Type.Integer(),
    epoch: Type.Integer({ description: 'Number of ownership claims of the zone, from 1.' }),
    waiting: Count('Number of commands in the mailbox.'),
    ticks: Count('Ticks in the last second. Normally 20.'),
    tickMsMean: Ms('Mean tick duration in the last second'),
    tickMsMax: Ms('Longest tick duration in the last second'),
    lateMsMax: Ms('Longest tick delay in the last second'),
    skippedTicks: Count('Ticks skipped in the last second.'),
    packetsIn: Count('Frames from players in the last second.'),
    packetsOut: Count('Frames to players in the last second.'),
    rttMs: Nullable(Ms('Mean round-trip time to the players of the zone')),
    accepted: Count('Commands accepted in the last second.'),
    refused: Count('Commands refused in the last second.'),
    events: Count('Events decided in the last second.'),
    hotAt: Nullable(DateTime('Time of the newest hot snapshot by the current owner. Null if there is none')),
    coldAt: Nullable(DateTime('Time of the newest cold snapshot by the current owner. Null if there is none')),
  },
  { $id: 'WorldZoneStatus', description: 'State and counters of a zone of the world.' },
);
export type WorldZoneStatus = Static<typeof WorldZoneStatus>;

export const WorldHostStatus = Type.Object(
  {
    id: Type.String(),
    pid: Type.Integer(),
    startedAt: DateTime('Start time of the process'),
    state: Type.Unsafe<'starting' | 'up' | 'draining'>(Type.Enum(['starting', 'up', 'draining'])),
    zones: Count('Number of zones that the host owns, open or not.'),
    open: Count('Number of zones that the host has open.'),
    standbyZones: Count('Number of zones of other hosts that the host keeps a copy of, to take them over.'),
    standbyLag: Count('Number of records of the log that these copies lack.'),
    leaseLeftMs: Ms('Time left of the lease'),
    // The schema is a plain string because clients of the first release accept any string.
    outbox: Type.Unsafe<'flowing' | 'waiting' | 'spooling'>(
      Type.String({
        description:
          '`flowing`: events go to the log. `waiting`: the log has accepted no waiting events for 2 s. `spooling`: the log is unavailable.',
      }),
    ),
    outboxEvents: Count('Number of decided events that wait in memory for the log.'),
    spoolBytes: Count('Size of the decided events that wait on disk for the log, bytes.'),
    lostEvents: Count('Number of events lost because the spool was full.'),
    cpuPercent: Type.Number({ description: 'CPU use of the process in the last second, percent of one core.' }),
    memoryBytes: Count('Resident memory, bytes.'),
  },
  { $id: 'WorldHostStatus', description: 'A zone host process.' },
);
export type WorldHostStatus = Static<typeof WorldHostStatus>;

export const ZonePointInTime = Type.Object(
  {
    zone: ZoneId,
    seq: Type.Integer(),
    stateAt: Nullable(DateTime('Time of the state. Null if it was requested by `seq`')),
    live: Type.Boolean({ description: 'True for the current state, false for a past state.' }),
    hash: Type.String({ description: 'State hash: SHA-256 over the whole state with its keys in order.' }),
    players: Type.Array(Player, { description: 'Players as the state has them, with times in epoch ms: `hash` is over this state.' }),
    monsters: Type.Array(Monster),
    items: Type.Array(GroundItem),
    inTransit: Type.Array(PlayerId),
    tookMs: Ms('Time to read the state'),
  },
  { $id: 'ZonePointInTime', description: 'State of a zone at a point in time.' },
);
export type ZonePointInTime = Static<typeof ZonePointInTime>;

export const ZoneView = Type.Object(
  { zone: ZoneId, seq: Type.Integer(), stateAt: DateTime('Time of the view'), objects: Type.Array(SeenObject) },
  { $id: 'ZoneView', description: 'All visible objects of a zone now.' },
);
export type ZoneView = Static<typeof ZoneView>;

export const ZoneReplay = Type.Object(
  {
    zone: ZoneId,
    points: Type.Array(
      Type.Object({ stateAt: DateTime('Time of the step'), seq: Type.Integer(), hash: Type.String(), objects: Type.Array(SeenObject) }),
      { description: 'Steps, oldest first.' },
    ),
  },
  { $id: 'ZoneReplay', description: 'Past states of a zone over a time range, in steps.' },
);
export type ZoneReplay = Static<typeof ZoneReplay>;

export const ZoneMap = Type.Object(
  {
    zone: ZoneId,
    blocked: Type.String({ description: 'Base64 of 512 bytes: one bit per tile, row by row, highest bit first. 1 means blocked.' }),
  },
  { $id: 'ZoneMap', description: 'Map of a zone: its blocked tiles.' },
);
export type ZoneMap = Static<typeof ZoneMap>;

export const SnapshotStatus = Type.Object(
  { zone: ZoneId, store: Store, epoch: Type.Integer(), seq: Type.Integer(), takenAt: DateTime('Time of the snapshot') },
  { $id: 'SnapshotStatus', description: 'A snapshot of a zone.' },
);
export type SnapshotStatus = Static<typeof SnapshotStatus>;

export const SnapshotVerification = Type.Object(
  {
    valid: Type.Boolean({ description: 'True if the snapshot could be read and its checksum matches.' }),
    detail: Type.String(),
    hash: Nullable(Type.String()),
    players: Nullable(Type.Integer()),
    replayedHash: Nullable(
      Type.String({ description: 'With `replay`: hash of the state that the log gives, starting from the previous snapshot.' }),
    ),
  },
  { $id: 'SnapshotVerification', description: 'Result of a snapshot verification.' },
);
export type SnapshotVerification = Static<typeof SnapshotVerification>;

export const PlayerStatus = Type.Object(
  {
    id: PlayerId,
    zone: Nullable(ZoneId),
    host: Nullable(Type.String()),
    connected: Type.Boolean(),
    remote: Nullable(Type.String({ description: 'IP address of the connection.' })),
    rttMs: Nullable(Ms('Round-trip time')),
    framesIn: Count('Frames received from the player over this connection.'),
    framesOut: Count('Frames sent to the player over this connection.'),
    droppedUpdates: Count('Updates dropped because the client reads too slowly.'),
    player: Nullable(Player),
  },
  { $id: 'PlayerStatus', description: 'A player with its live state and all its components.' },
);
export type PlayerStatus = Static<typeof PlayerStatus>;

export const PlayerSummary = Type.Object(
  { id: PlayerId, name: Type.String(), zone: ZoneId, awake: Type.Boolean(), violations: Type.Integer() },
  { $id: 'PlayerSummary', description: 'Summary of a player in a list.' },
);
export type PlayerSummary = Static<typeof PlayerSummary>;

export const PlayerHistoryEntry = Type.Object(
  { occurredAt: DateTime('Time of the event'), zone: ZoneId, type: Type.String(), detail: Type.Record(Type.String(), Type.Unknown()) },
  { $id: 'PlayerHistoryEntry', description: 'An entry of the history of a player.' },
);
export type PlayerHistoryEntry = Static<typeof PlayerHistoryEntry>;

export const PlayerSession = Type.Object(
  {
    id: Type.String(),
    startedAt: DateTime('Start of the session'),
    startedIn: Type.String({ description: 'Zone in which the session started.' }),
    endedAt: Nullable(DateTime('End of the session')),
    endedIn: Nullable(Type.String({ description: 'Zone in which the session ended.' })),
    reason: Nullable(Type.String({ description: 'Reason for the end of the session.' })),
  },
  { $id: 'PlayerSession', description: 'A session of a player, from join to leave.' },
);
export type PlayerSession = Static<typeof PlayerSession>;

export const PlayerStep = Type.Object(
  { occurredAt: DateTime('Time of the position'), zone: ZoneId, x: Type.Integer(), y: Type.Integer() },
  { $id: 'PlayerStep', description: 'A recorded position of a player.' },
);
export type PlayerStep = Static<typeof PlayerStep>;

const RecordedPoint = Type.Object({ seq: Type.Integer(), stateAt: DateTime('Time of the state') });

export const ZoneRecord = Type.Object(
  {
    zone: ZoneId,
    from: Nullable(RecordedPoint),
    to: Nullable(RecordedPoint),
    snapshots: Type.Array(RecordedPoint, {
      description: 'Older states that have a snapshot. Each can be read by its `seq`.',
    }),
  },
  {
    $id: 'ZoneRecord',
    description: 'Points in time at which the state of a zone can be read: all from `from` to `to`, and those of older snapshots.',
  },
);
export type ZoneRecord = Static<typeof ZoneRecord>;

export const RestoreChanges = Type.Object(
  {
    playersRestored: Type.Array(PlayerId, { description: 'Players in the zone then and now. They get their past state.' }),
    playersKept: Type.Array(PlayerId, { description: 'Players that came to the zone later. They keep their state.' }),
    playersElsewhere: Type.Array(PlayerId, { description: 'Players in the zone then, but not now. They are not moved back.' }),
    itemsBack: Type.Array(Type.String(), { description: 'Items that the restore adds to the zone.' }),
    itemsGone: Type.Array(Type.String(), { description: 'Items that the restore removes from the zone.' }),
    itemsElsewhere: Type.Array(Type.String(), {
      description: 'Items in the zone then that are now in another zone or in transit. They stay there.',
    }),
  },
  { $id: 'RestoreChanges', description: 'Changes that a restore makes in a zone.' },
);
export type RestoreChanges = Static<typeof RestoreChanges>;

export const RestoreOutcome = Type.Object(
  {
    ok: Type.Boolean(),
    seq: Type.Optional(Type.Integer()),
    code: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
    dryRun: Type.Boolean({ description: 'True if the request was a dry run and changed nothing.' }),
    restoredSeq: Type.Integer({ description: 'Seq of the event after which the zone had the restored state.' }),
    hash: Type.String({ description: 'State hash of the past state: SHA-256 over the whole state with its keys in order.' }),
    changes: RestoreChanges,
  },
  { $id: 'RestoreOutcome', description: 'Changes of a restore, and the reply of the zone.' },
);
export type RestoreOutcome = Static<typeof RestoreOutcome>;

export const CommandOutcome = Type.Object(
  { ok: Type.Boolean(), seq: Type.Optional(Type.Integer()), code: Type.Optional(Type.String()), message: Type.Optional(Type.String()) },
  { $id: 'CommandOutcome', description: 'Reply of the zone to a command.' },
);
export type CommandOutcome = Static<typeof CommandOutcome>;

export const PlayerToken = Type.Object(
  { player: PlayerId, name: Type.String(), token: Type.String({ description: 'Player token for the `hello` frame.' }) },
  { $id: 'PlayerToken', description: 'A player and its token.' },
);
export type PlayerToken = Static<typeof PlayerToken>;

export const RecoverySource = Type.Unsafe<'hot' | 'cold' | 'replay'>(Type.Enum(['hot', 'cold', 'replay']));
export type RecoverySource = Static<typeof RecoverySource>;

export const DrillReport = Type.Object(
  {
    startedAt: DateTime('Start of the drill'),
    endedAt: DateTime('End of the drill'),
    players: Count('Number of bots that played.'),
    zones: Count('Number of zones of the test world.'),
    hosts: Count('Number of zone hosts of the test world.'),
    results: Type.Array(
      Type.Object({
        recoverySource: RecoverySource,
        targetMs: Ms('RTO target: time in which every player must be able to play again'),
        rtoMsMax: Ms('RTO: longest time in which a player had no command accepted'),
        rpoMsMax: Ms('Largest RPO of all kills: age, at the kill, of the oldest answered command that was undone'),
        met: Type.Boolean({ description: 'True if the target was met and no player was lost or duplicated.' }),
        kills: Type.Array(
          Type.Object({
            killedAt: DateTime('Time of the kill'),
            host: Type.String(),
            zones: Count('Number of zones that the host had.'),
            players: Count('Number of players with a session in these zones.'),
            rtoMs: Ms('RTO: longest time in which a player had no command accepted'),
            rpoMs: Ms('RPO: age, at the kill, of the oldest answered command that was undone (0 if none)'),
            undone: Count('Number of answered commands whose effect was lost.'),
            lost: Count('Number of players in no zone.'),
            duplicated: Count('Number of players in more than one zone.'),
          }),
        ),
      }),
    ),
  },
  { $id: 'DrillReport', description: 'Report of a recovery drill.' },
);
export type DrillReport = Static<typeof DrillReport>;
