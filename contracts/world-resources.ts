import { type Static, Type } from 'typebox';
import { GroundItem, Monster, Player, PlayerId, WorldPlan, ZoneId } from './world.ts';
import { SeenObject } from './world-wire.ts';

const EpochMs = (description: string) => Type.Number({ description: `${description}, epoch ms.` });
const Ms = (description: string) => Type.Number({ description: `${description}, ms.` });
const Count = (description: string) => Type.Integer({ minimum: 0, description });
const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Store = Type.Unsafe<'hot' | 'cold'>(Type.Enum(['hot', 'cold']));
export type SnapshotStoreName = 'hot' | 'cold';

export const World = Type.Object(
  {
    plan: WorldPlan,
    tcpPort: Type.Integer({ description: 'Where players connect over TCP; docs/protocols/world.md says how.' }),
    socketPath: Type.String({ description: 'Where they connect over WebSocket.' }),
    guests: Type.Boolean({ description: 'Whether anyone may play as a new player.' }),
    zonesOpen: Count('Zones that are open, of columns times rows.'),
    connections: Count('Open connections.'),
    playing: Count('Sessions in a zone.'),
    sessions: Count('Sessions, with those that have lost their connection.'),
    knownPlayers: Count('Players that some zone has, awake or asleep.'),
    updatesPerSecond: Type.Number({ description: 'How often players are sent what changed: 10, or less while the door is very busy.' }),
    decisionMs: Type.Object({
      p50: Nullable(Ms('Half of the newest decisions took no longer')),
      p99: Nullable(Ms('All but a hundredth of them')),
    }),
    refusals: Type.Record(Type.String(), Type.Integer(), { description: 'Commands refused since start, by code.' }),
    disconnects: Type.Record(Type.String(), Type.Integer(), { description: 'Connections ended by the server, by code.' }),
  },
  { $id: 'World', description: 'The world and its door.' },
);
export type World = Static<typeof World>;

export const WorldZoneStatus = Type.Object(
  {
    zone: ZoneId,
    host: Nullable(Type.String({ description: 'Which zone host has it; null while it is on its way.' })),
    sessions: Count('Players attending, the CCU.'),
    awake: Count('Players awake.'),
    asleep: Count('Players asleep.'),
    inTransit: Count('Players on the way to a neighbour.'),
    flagged: Count('Players with offences.'),
    seq: Type.Integer(),
    epoch: Type.Integer({ description: 'How often the zone changed its owner.' }),
    waiting: Count('Commands in the mailbox.'),
    ticks: Count('Ticks of the last second; 20 when all is well.'),
    tickMsMean: Ms('Mean length of a tick over the last second'),
    tickMsMax: Ms('Longest tick of the last second'),
    lateMsMax: Ms('How late a tick was at most'),
    skippedTicks: Count('Ticks skipped in the last second.'),
    packetsIn: Count('Frames from players in the last second.'),
    packetsOut: Count('Frames to players in the last second.'),
    rttMs: Nullable(Ms('Mean round trip to its players')),
    accepted: Count('Commands accepted in the last second.'),
    refused: Count('Commands refused in the last second.'),
    events: Count('Events decided in the last second.'),
    hotAt: EpochMs('Newest hot snapshot by the present owner; 0 for none'),
    coldAt: EpochMs('Newest cold snapshot by the present owner; 0 for none'),
  },
  { $id: 'WorldZoneStatus', description: 'State and counters of a zone of the world.' },
);
export type WorldZoneStatus = Static<typeof WorldZoneStatus>;

export const WorldHostStatus = Type.Object(
  {
    id: Type.String(),
    pid: Type.Integer(),
    startedAt: EpochMs('When its process started'),
    state: Type.Unsafe<'starting' | 'up' | 'draining'>(Type.Enum(['starting', 'up', 'draining'])),
    zones: Count('Zones it may have in its hands.'),
    open: Count('Zones it serves.'),
    leaseLeftMs: Ms('What is left of its lease'),
    // A string of any kind to clients of the first release.
    outbox: Type.Unsafe<'flowing' | 'waiting' | 'spooling'>(
      Type.String({
        description:
          '`flowing`; `waiting` when the log has taken nothing for two seconds although events wait; `spooling` while it is unavailable.',
      }),
    ),
    outboxEvents: Count('Decided events that wait for the log in memory.'),
    spoolBytes: Count('Decided events that wait for the log on disk, bytes.'),
    lostEvents: Count('Events lost because the spool was full.'),
    cpuPercent: Type.Number({ description: 'Of one core, over the last second.' }),
    memoryBytes: Count('Resident memory.'),
  },
  { $id: 'WorldHostStatus', description: 'A zone host process.' },
);
export type WorldHostStatus = Static<typeof WorldHostStatus>;

export const ZonePointInTime = Type.Object(
  {
    zone: ZoneId,
    seq: Type.Integer(),
    time: EpochMs('The moment'),
    live: Type.Boolean({ description: 'Whether it is the zone’s present state, or one of its past.' }),
    hash: Type.String({ description: 'SHA-256 over the whole state with its keys in order.' }),
    players: Type.Array(Player),
    monsters: Type.Array(Monster),
    items: Type.Array(GroundItem),
    inTransit: Type.Array(PlayerId),
    tookMs: Ms('How long it took to find out'),
  },
  { $id: 'ZonePointInTime', description: 'All that stands in a zone at a moment.' },
);
export type ZonePointInTime = Static<typeof ZonePointInTime>;

export const ZoneView = Type.Object(
  { zone: ZoneId, seq: Type.Integer(), time: EpochMs('When it was looked at'), objects: Type.Array(SeenObject) },
  { $id: 'ZoneView', description: 'All that can be seen in a zone now.' },
);
export type ZoneView = Static<typeof ZoneView>;

export const ZoneReplay = Type.Object(
  {
    zone: ZoneId,
    moments: Type.Array(
      Type.Object({ time: EpochMs('The moment'), seq: Type.Integer(), hash: Type.String(), objects: Type.Array(SeenObject) }),
      { description: 'Oldest first.' },
    ),
  },
  { $id: 'ZoneReplay', description: 'A stretch of a zone’s past, in steps.' },
);
export type ZoneReplay = Static<typeof ZoneReplay>;

export const ZoneMap = Type.Object(
  {
    zone: ZoneId,
    blocked: Type.String({ description: 'Base64 of 512 bytes: a bit for each tile, row by row, highest first; 1 is blocked.' }),
  },
  { $id: 'ZoneMap', description: 'What stands in the way.' },
);
export type ZoneMap = Static<typeof ZoneMap>;

export const SnapshotStatus = Type.Object(
  { zone: ZoneId, store: Store, epoch: Type.Integer(), seq: Type.Integer(), time: EpochMs('When it was taken') },
  { $id: 'SnapshotStatus', description: 'A snapshot of a zone.' },
);
export type SnapshotStatus = Static<typeof SnapshotStatus>;

export const SnapshotVerification = Type.Object(
  {
    valid: Type.Boolean({ description: 'Whether it was read back and its checksum matches.' }),
    detail: Type.String(),
    hash: Nullable(Type.String()),
    players: Nullable(Type.Integer()),
    replayedHash: Nullable(Type.String({ description: 'With `replay`: of the state that the log leads to from the snapshot before.' })),
  },
  { $id: 'SnapshotVerification', description: 'Whether a snapshot can be restored, and what is in it.' },
);
export type SnapshotVerification = Static<typeof SnapshotVerification>;

export const PlayerStatus = Type.Object(
  {
    id: PlayerId,
    zone: Nullable(ZoneId),
    host: Nullable(Type.String()),
    connected: Type.Boolean(),
    remote: Nullable(Type.String({ description: 'Address of its connection.' })),
    rttMs: Nullable(Ms('Round trip')),
    framesIn: Count('Frames it has sent over this connection.'),
    framesOut: Count('Frames it was sent.'),
    droppedUpdates: Count('Updates left out because it read too slowly.'),
    player: Nullable(Player),
  },
  { $id: 'PlayerStatus', description: 'A player live, with all its components.' },
);
export type PlayerStatus = Static<typeof PlayerStatus>;

export const PlayerSummary = Type.Object(
  { id: PlayerId, name: Type.String(), zone: ZoneId, awake: Type.Boolean(), suspicion: Type.Integer() },
  { $id: 'PlayerSummary', description: 'A player in a list.' },
);
export type PlayerSummary = Static<typeof PlayerSummary>;

export const PlayerHistoryEntry = Type.Object(
  { occurredAt: EpochMs('When it happened'), zone: ZoneId, type: Type.String(), detail: Type.Record(Type.String(), Type.Unknown()) },
  { $id: 'PlayerHistoryEntry', description: 'Something that happened to a player.' },
);
export type PlayerHistoryEntry = Static<typeof PlayerHistoryEntry>;

export const PlayerSession = Type.Object(
  {
    id: Type.String(),
    startedAt: EpochMs('When it began'),
    startedIn: Type.String({ description: 'Zone in which it began.' }),
    endedAt: Nullable(EpochMs('When it ended')),
    endedIn: Nullable(Type.String({ description: 'Zone in which it ended.' })),
    reason: Nullable(Type.String({ description: 'Why it ended.' })),
  },
  { $id: 'PlayerSession', description: 'A session of a player, from joining to leaving the world.' },
);
export type PlayerSession = Static<typeof PlayerSession>;

export const PlayerStep = Type.Object(
  { occurredAt: EpochMs('When'), zone: ZoneId, x: Type.Integer(), y: Type.Integer() },
  { $id: 'PlayerStep', description: 'A place a player came to.' },
);
export type PlayerStep = Static<typeof PlayerStep>;

const RecordedMoment = Type.Object({ seq: Type.Integer(), time: EpochMs('When') });

export const ZoneRecord = Type.Object(
  {
    zone: ZoneId,
    from: Nullable(RecordedMoment),
    to: Nullable(RecordedMoment),
    snapshots: Type.Array(RecordedMoment, {
      description: 'Moments before `from` of which there is a snapshot: each can be asked for by its `seq`.',
    }),
  },
  {
    $id: 'ZoneRecord',
    description: 'Of which moments a zone’s state is known: all between `from` and `to`, and those of older snapshots.',
  },
);
export type ZoneRecord = Static<typeof ZoneRecord>;

export const RestoreChanges = Type.Object(
  {
    playersRestored: Type.Array(PlayerId, { description: 'Were here then, and are now: they become what they were.' }),
    playersKept: Type.Array(PlayerId, { description: 'Came later: they stay as they are.' }),
    playersElsewhere: Type.Array(PlayerId, { description: 'Were here then and are not now: they are not brought back.' }),
    itemsBack: Type.Array(Type.String(), { description: 'Are here again.' }),
    itemsGone: Type.Array(Type.String(), { description: 'Are here no more.' }),
    itemsElsewhere: Type.Array(Type.String(), {
      description: 'Were here then, and are in another zone or on the way to one now: they stay there.',
    }),
  },
  { $id: 'RestoreChanges', description: 'What bringing a past moment back changes in a zone.' },
);
export type RestoreChanges = Static<typeof RestoreChanges>;

export const RestoreOutcome = Type.Object(
  {
    ok: Type.Boolean(),
    seq: Type.Optional(Type.Integer()),
    code: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
    dryRun: Type.Boolean({ description: 'Whether it was only asked what would change.' }),
    moment: Type.Integer({ description: 'The event after which the zone was what is brought back.' }),
    hash: Type.String({ description: 'SHA-256 over the whole past state with its keys in order.' }),
    changes: RestoreChanges,
  },
  { $id: 'RestoreOutcome', description: 'What a restore changes, and what the zone decided.' },
);
export type RestoreOutcome = Static<typeof RestoreOutcome>;

export const CommandOutcome = Type.Object(
  { ok: Type.Boolean(), seq: Type.Optional(Type.Integer()), code: Type.Optional(Type.String()), message: Type.Optional(Type.String()) },
  { $id: 'CommandOutcome', description: 'What the zone decided.' },
);
export type CommandOutcome = Static<typeof CommandOutcome>;

export const PlayerToken = Type.Object(
  { player: PlayerId, name: Type.String(), token: Type.String({ description: 'To say hello with.' }) },
  { $id: 'PlayerToken', description: 'Who may play as whom.' },
);
export type PlayerToken = Static<typeof PlayerToken>;

export const RecoverySource = Type.Unsafe<'hot' | 'cold' | 'replay'>(Type.Enum(['hot', 'cold', 'replay']));
export type RecoverySource = Static<typeof RecoverySource>;

export const DrillReport = Type.Object(
  {
    startedAt: EpochMs('When it began'),
    endedAt: EpochMs('When it ended'),
    players: Count('Bots that played.'),
    zones: Count('Zones of its world.'),
    hosts: Count('Zone hosts of its world.'),
    results: Type.Array(
      Type.Object({
        recoverySource: RecoverySource,
        targetMs: Ms('Within which everyone must play again'),
        rtoMsMax: Ms('Longest time any player had no command accepted'),
        rpoMsMax: Ms('How long before a kill a command that it undid had been answered at most'),
        met: Type.Boolean({ description: 'Whether the promise was kept, and no player lost or duplicated.' }),
        kills: Type.Array(
          Type.Object({
            at: EpochMs('When'),
            host: Type.String(),
            zones: Count('Zones it had.'),
            players: Count('Players attending them.'),
            rtoMs: Ms('Longest time any player had no command accepted'),
            rpoMs: Ms('How long before the kill an undone command had been answered at most'),
            undone: Count('Answered commands that the world does not know of any more.'),
            lost: Count('Players in no zone.'),
            duplicated: Count('Players in more than one.'),
          }),
        ),
      }),
    ),
  },
  { $id: 'DrillReport', description: 'What a recovery drill has measured.' },
);
export type DrillReport = Static<typeof DrillReport>;
