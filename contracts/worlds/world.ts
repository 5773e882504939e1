import { type Static, Type } from 'typebox';

/*
 * The world: its objects, commands and events. Positions are whole centimetres from the north-west corner of the world,
 * so that every machine computes the same. The wire protocol is in world-wire.ts.
 */

/** Side length of a zone in cm: 64 tiles of 1 m. */
export const ZONE_SIZE = 6_400;
export const TILE_SIZE = 100;
export const TILES_PER_SIDE = ZONE_SIZE / TILE_SIZE;
/** Tick length of a zone in ms: 20 ticks per second. */
export const WORLD_TICK_MS = 50;

/** `column-row`, counted from the north-west corner. */
const ZONE_PATTERN = '^[0-9]{1,3}-[0-9]{1,3}$';
export const ZoneId = Type.String({ pattern: ZONE_PATTERN, description: 'Id of a zone: `column-row`.', examples: ['3-4'] });
export type ZoneId = Static<typeof ZoneId>;
export const isZoneId = (text: string): text is ZoneId => new RegExp(ZONE_PATTERN).test(text);

const PLAYER_PATTERN = '^[a-z0-9][a-z0-9-]{0,31}$';
export const PlayerId = Type.String({ pattern: PLAYER_PATTERN, description: 'Id of a player.', examples: ['p-7k2m9x'] });
export type PlayerId = Static<typeof PlayerId>;
export const isPlayerId = (text: string): text is PlayerId => new RegExp(PLAYER_PATTERN).test(text);

const Cm = (description: string) => Type.Integer({ minimum: 0, maximum: 10_000_000, description: `${description}, cm.` });
const EpochMs = (description: string) => Type.Integer({ minimum: 0, description: `${description}, epoch ms.` });

/** Item kinds, each with the effect of its use. */
export const ITEM_KINDS = {
  apple: 'restores 20 health',
  boots: 'raises the speed of its user by half for 10 s',
  mushroom: 'costs 40 health and stuns for 3 s',
} as const;
export type ItemKind = keyof typeof ITEM_KINDS;
export const ItemKind = Type.Unsafe<ItemKind>(Type.Enum(['apple', 'boots', 'mushroom']));

/* Components: named parts of objects. An operator can edit every field that is a number or a string. */

export const Place = Type.Object(
  { x: Cm('Distance from the west edge of the world'), y: Cm('Distance from the north edge of the world') },
  { $id: 'Place' },
);
export type Place = Static<typeof Place>;

export const Motion = Type.Object(
  {
    speed: Type.Integer({ minimum: 0, maximum: 10_000, description: 'Walking speed, cm/s.' }),
    boostedUntil: EpochMs('Time until which its speed is raised by half'),
    allowance: Type.Integer({ minimum: 0, description: 'Distance that it may move at once, as of `at`, cm. It grows with the speed.' }),
    at: EpochMs('Time of the last move'),
  },
  { $id: 'Motion' },
);
export type Motion = Static<typeof Motion>;

export const PlayerHealth = Type.Object(
  {
    points: Type.Integer({ minimum: 0, maximum: 1_000, description: 'Health points. Dead at 0.' }),
    most: Type.Integer({ minimum: 1, maximum: 1_000 }),
    stunnedUntil: EpochMs('Time until which the player is stunned and cannot act'),
    diedAt: EpochMs('Time of death (0 while alive)'),
  },
  { $id: 'PlayerHealth' },
);
export type PlayerHealth = Static<typeof PlayerHealth>;

export const CarriedItem = Type.Object({ id: Type.String(), item: ItemKind });
export type CarriedItem = Static<typeof CarriedItem>;

export const Bag = Type.Object({ items: Type.Array(CarriedItem), most: Type.Integer({ minimum: 0, maximum: 64 }) }, { $id: 'Bag' });
export type Bag = Static<typeof Bag>;

export const Cooldown = Type.Object(
  { useAt: EpochMs('Time from which it may use an item again'), sayAt: EpochMs('Time from which it may speak again') },
  { $id: 'Cooldown' },
);
export type Cooldown = Static<typeof Cooldown>;

export const Presence = Type.Object(
  {
    session: Type.String({ description: 'Session that plays the player. Empty while it is asleep.' }),
    since: EpochMs('Start of the session or, while asleep, of the sleep'),
    last: Type.Optional(
      Type.String({ description: 'While asleep: the last session that played the player. If it resumes, `n` still applies.' }),
    ),
    n: Type.Integer({ minimum: 0, description: 'Number of the newest accepted command of the session.' }),
    before: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Bit set of the accepted commands among the 48 numbers below `n`. The lowest bit is `n` - 1.',
      }),
    ),
  },
  { $id: 'Presence' },
);
export type Presence = Static<typeof Presence>;

export const Violations = Type.Object(
  {
    total: Type.Integer({ minimum: 0, description: 'Number of violations so far, of all kinds.' }),
    byCode: Type.Record(Type.String(), Type.Integer(), { description: 'Number of violations by refusal code.' }),
  },
  { $id: 'Violations' },
);
export type Violations = Static<typeof Violations>;

export const Player = Type.Object(
  {
    id: PlayerId,
    name: Type.String(),
    position: Place,
    motion: Motion,
    health: PlayerHealth,
    bag: Bag,
    cooldown: Cooldown,
    presence: Presence,
    violations: Violations,
  },
  { $id: 'Player', description: 'A player, awake or asleep, with all its components.' },
);
export type Player = Static<typeof Player>;

export const Monster = Type.Object(
  { id: Type.String(), position: Place },
  { $id: 'Monster', description: 'A monster. It moves by itself.' },
);
export type Monster = Static<typeof Monster>;

export const GroundItem = Type.Object(
  { id: Type.String(), item: ItemKind, position: Place },
  { $id: 'GroundItem', description: 'An item on the ground.' },
);
export type GroundItem = Static<typeof GroundItem>;

/** Components that an operator can edit, with their schemas. */
export const EDITABLE = { position: Place, motion: Motion, health: PlayerHealth, cooldown: Cooldown, bag: Bag } as const;
export type EditableComponent = keyof typeof EDITABLE;

/** Input of the map generator. The same numbers give the same map on every machine. */
export const WorldPlan = Type.Object(
  {
    seed: Type.Integer({ minimum: 0, maximum: 0xffffffff }),
    columns: Type.Integer({ minimum: 1, maximum: 100 }),
    rows: Type.Integer({ minimum: 1, maximum: 100 }),
    monsters: Type.Integer({ minimum: 0, maximum: 500, description: 'Number of monsters in each zone.' }),
    items: Type.Integer({ minimum: 0, maximum: 500, description: 'Number of items in each zone.' }),
  },
  { $id: 'WorldPlan', description: 'Plan of the world: seed, size and contents.' },
);
export type WorldPlan = Static<typeof WorldPlan>;

/** A player in transit between two zones. It counts in the zone it left until the other zone has recorded the arrival. */
export interface Handover {
  readonly from: ZoneId;
  readonly to: ZoneId;
  /** Number of the handover among those from `from` to `to`. */
  readonly number: number;
  /** All handovers from `from` to `to` with a lower number are confirmed, so the receiver can forget them. */
  readonly floor: number;
  readonly player: Player;
  /** Position before the departure, used if the handover is recalled. */
  readonly origin: Place;
}

/** All objects of a zone. */
export interface WorldObjects {
  readonly players: Record<PlayerId, Player>;
  readonly monsters: Record<string, Monster>;
  readonly items: Record<string, GroundItem>;
  readonly respawns: readonly number[];
}

/** All commands of a world zone. */
export type WorldCommand =
  /** An initialized zone takes only the size of the world from the plan. */
  | { type: 'CreateZone'; plan: WorldPlan }
  /** `isNew`: no zone has the player, so this zone may create it. */
  | { type: 'JoinZone'; player: PlayerId; name: string; session: string; isNew: boolean }
  | { type: 'LeaveZone'; player: PlayerId; session: string; reason: LeaveReason }
  | ({ player: PlayerId; session: string; n: number } & PlayerIntent)
  | { type: 'AdmitPlayer'; handover: Handover }
  | { type: 'ConfirmHandover'; player: PlayerId; to: ZoneId; number: number }
  /** Accepted only if the handover was never sent. */
  | { type: 'RecallPlayer'; player: PlayerId; number: number }
  | { type: 'CountViolations'; player: PlayerId; counts: Record<string, number> }
  | {
      type: 'EditPlayer';
      player: PlayerId;
      component: EditableComponent;
      fields: Record<string, unknown>;
      operator: string;
      reason: string;
    }
  | { type: 'KickPlayer'; player: PlayerId; operator: string; reason: string }
  | { type: 'Announce'; text: string; operator: string }
  | {
      type: 'RestoreZone';
      past: WorldObjects;
      restoredSeq: number;
      /** Items of the other zones, read while this zone had sent `sent` handovers to each of them. */
      elsewhere: readonly string[];
      sent: Readonly<Record<ZoneId, number>>;
      operator: string;
      reason: string;
    };

export type PlayerIntent =
  | { type: 'Move'; x: number; y: number }
  | { type: 'PickUp'; item: string }
  | { type: 'Use'; item: string }
  | { type: 'Say'; text: string };

/** An ended session and its start, epoch ms. */
export interface EndedSession {
  readonly session: string;
  readonly since: number;
}

export type LeaveReason = 'left' | 'lost' | 'replaced' | 'kicked';

/** All events of a world zone. */
export type WorldEvent =
  | { type: 'ZoneCreated'; plan: WorldPlan; monsters: readonly Monster[]; items: readonly GroundItem[] }
  /** The world has another size now. The zone keeps its map. */
  | { type: 'ZoneResized'; columns: number; rows: number }
  | { type: 'PlayerJoined'; player: Player }
  | { type: 'PlayerWoke'; player: PlayerId; name: string; session: string; at: number; replaced: EndedSession | null }
  | { type: 'PlayerFellAsleep'; player: PlayerId; reason: LeaveReason; at: number; ended: EndedSession }
  | { type: 'PlayerForgotten'; player: PlayerId }
  | { type: 'PlayerMoved'; player: PlayerId; n: number; x: number; y: number; allowance: number; at: number }
  | { type: 'ItemPickedUp'; player: PlayerId; n: number; item: string; kind: ItemKind; respawnAt: number }
  /** `health`: points after the use. `until`: end of the effect, epoch ms; 0 if the effect does not last. */
  | { type: 'ItemUsed'; player: PlayerId; n: number; item: string; kind: ItemKind; health: number; until: number; at: number }
  | { type: 'ItemSpawned'; item: GroundItem }
  | { type: 'PlayerSaid'; player: PlayerId; n: number; text: string; at: number }
  | { type: 'PlayerDied'; player: PlayerId; at: number }
  | { type: 'PlayerRevived'; player: PlayerId; x: number; y: number; health: number; at: number }
  | { type: 'MonstersMoved'; tick: number; moves: readonly (readonly [id: string, x: number, y: number])[] }
  | { type: 'PlayerDeparted'; handover: Handover; n: number; at: number }
  | { type: 'PlayerArrived'; handover: Handover; at: number }
  | { type: 'HandoverConfirmed'; player: PlayerId; to: ZoneId; number: number }
  | { type: 'PlayerRecalled'; player: PlayerId; to: ZoneId; number: number }
  | { type: 'ViolationsCounted'; player: PlayerId; counts: Record<string, number> }
  | {
      type: 'PlayerEdited';
      player: PlayerId;
      component: EditableComponent;
      fields: Record<string, unknown>;
      was: Record<string, unknown>;
      operator: string;
      reason: string;
    }
  | { type: 'PlayerKicked'; player: PlayerId; operator: string; reason: string; at: number; ended: EndedSession }
  | { type: 'Announced'; text: string; operator: string; at: number }
  | { type: 'ZoneRestored'; objects: WorldObjects; restoredSeq: number; operator: string; reason: string; at: number };

/** Refusals of a world zone. `violation`: a correct client never causes it. Violations are counted per player. */
export const WORLD_REFUSALS = {
  NOT_INITIALIZED: { violation: false, description: 'The zone has no map yet.' },
  ALREADY_INITIALIZED: { violation: false, description: 'The zone already has its map.' },
  PLAYER_NOT_IN_ZONE: { violation: false, description: 'The player is not in this zone.' },
  IN_TRANSIT: { violation: false, description: 'The player is on the way to the next zone.' },
  SESSION_MISMATCH: { violation: false, description: 'Another session plays this player.' },
  ZONE_FULL: { violation: false, description: 'The zone has the maximum number of players.' },
  DUPLICATE_COMMAND: { violation: true, description: 'A command with this number, or a higher one, was already accepted.' },
  OUT_OF_BOUNDS: { violation: true, description: 'The target is outside the world.' },
  BLOCKED: { violation: false, description: 'The target or the path is blocked.' },
  THROUGH_WALL: { violation: true, description: 'A wall is between the player and the target.' },
  TELEPORT: { violation: true, description: 'The target is farther than any player can move at once.' },
  TOO_FAST: { violation: true, description: 'The target is farther than this player can have moved by now.' },
  DEAD: { violation: false, description: 'The player is dead.' },
  STUNNED: { violation: false, description: 'The player is stunned.' },
  COOLDOWN: { violation: false, description: 'The cooldown has not ended.' },
  UNKNOWN_ITEM: { violation: false, description: 'No item has this id.' },
  OUT_OF_REACH: { violation: true, description: 'The item is too far from the player.' },
  BAG_FULL: { violation: false, description: 'The bag is full.' },
  NOT_CARRIED: { violation: false, description: 'The player does not carry this item.' },
  INVALID_FIELD: { violation: false, description: 'The component has no such field, or the value is not allowed.' },
  PLAYERS_LEFT: { violation: false, description: 'Players left the zone while a restore checked the other zones.' },
} as const;
export type WorldRefusal = keyof typeof WORLD_REFUSALS;
