import { type Static, Type } from 'typebox';

/*
 * The world: what stands in it, what may be asked of it, what can have happened in it. Places are whole centimetres from
 * the world’s north-west corner, so that every machine computes the same. The wire protocol is in world-wire.ts.
 */

/** Length of a zone’s side in cm: 64 tiles of one metre. */
export const ZONE_SIZE = 6_400;
export const TILE_SIZE = 100;
export const TILES_PER_SIDE = ZONE_SIZE / TILE_SIZE;
/** Length of a zone’s tick in ms: 20 Hz. */
export const WORLD_TICK_MS = 50;

/** `column-row`, from the north-west. */
const ZONE_PATTERN = '^[0-9]{1,3}-[0-9]{1,3}$';
export const ZoneId = Type.String({ pattern: ZONE_PATTERN, description: 'Zone as column-row.', examples: ['3-4'] });
export type ZoneId = Static<typeof ZoneId>;
export const isZoneId = (text: string): text is ZoneId => new RegExp(ZONE_PATTERN).test(text);

const PLAYER_PATTERN = '^[a-z0-9][a-z0-9-]{0,31}$';
export const PlayerId = Type.String({ pattern: PLAYER_PATTERN, description: 'Id of a player.', examples: ['p-7k2m9x'] });
export type PlayerId = Static<typeof PlayerId>;
export const isPlayerId = (text: string): text is PlayerId => new RegExp(PLAYER_PATTERN).test(text);

const Cm = (description: string) => Type.Integer({ minimum: 0, maximum: 10_000_000, description: `${description}, cm.` });
const EpochMs = (description: string) => Type.Integer({ minimum: 0, description: `${description}, epoch ms.` });

/** What lies about, and what using it does. */
export const ITEM_KINDS = {
  apple: 'restores 20 health',
  boots: 'makes its user half as fast again for 10 s',
  mushroom: 'costs 40 health and stuns for 3 s',
} as const;
export type ItemKind = keyof typeof ITEM_KINDS;
export const ItemKind = Type.Unsafe<ItemKind>(Type.Enum(['apple', 'boots', 'mushroom']));

/* Components: the named parts that objects are made of. An operator may edit every field that is a number or a text. */

export const Place = Type.Object({ x: Cm('East of the world’s edge'), y: Cm('South of it') }, { $id: 'Place' });
export type Place = Static<typeof Place>;

export const Motion = Type.Object(
  {
    speed: Type.Integer({ minimum: 0, maximum: 10_000, description: 'Walking speed, cm/s.' }),
    boostedUntil: EpochMs('Until when it is half as fast again'),
    allowance: Type.Integer({ minimum: 0, description: 'How far it may go at once, as of `at`, cm; it grows with the speed.' }),
    at: EpochMs('When it moved last'),
  },
  { $id: 'Motion' },
);
export type Motion = Static<typeof Motion>;

export const PlayerHealth = Type.Object(
  {
    points: Type.Integer({ minimum: 0, maximum: 1_000, description: 'Dead at 0.' }),
    most: Type.Integer({ minimum: 1, maximum: 1_000 }),
    stunnedUntil: EpochMs('Until when it can do nothing'),
    diedAt: EpochMs('When it died; 0 while it lives'),
  },
  { $id: 'PlayerHealth' },
);
export type PlayerHealth = Static<typeof PlayerHealth>;

export const CarriedItem = Type.Object({ id: Type.String(), item: ItemKind });
export type CarriedItem = Static<typeof CarriedItem>;

export const Bag = Type.Object({ items: Type.Array(CarriedItem), most: Type.Integer({ minimum: 0, maximum: 64 }) }, { $id: 'Bag' });
export type Bag = Static<typeof Bag>;

export const Cooldown = Type.Object(
  { useAt: EpochMs('When it may use something again'), sayAt: EpochMs('When it may speak again') },
  { $id: 'Cooldown' },
);
export type Cooldown = Static<typeof Cooldown>;

export const Presence = Type.Object(
  {
    session: Type.String({ description: 'The session that plays it; empty while it sleeps.' }),
    since: EpochMs('When it came or fell asleep'),
    last: Type.Optional(
      Type.String({ description: 'While it sleeps: the session that played it last, whose `n` is kept should it come back.' }),
    ),
    n: Type.Integer({ minimum: 0, description: 'Number of the newest command of the session that was accepted.' }),
    before: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Which of the 48 below it were accepted: the lowest bit is for `n` - 1.' }),
    ),
  },
  { $id: 'Presence' },
);
export type Presence = Static<typeof Presence>;

export const Conduct = Type.Object(
  {
    suspicion: Type.Integer({ minimum: 0, description: 'Offences counted so far, all kinds.' }),
    offences: Type.Record(Type.String(), Type.Integer(), { description: 'How many of each refusal code.' }),
  },
  { $id: 'Conduct' },
);
export type Conduct = Static<typeof Conduct>;

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
    conduct: Conduct,
  },
  { $id: 'Player', description: 'A player, awake or asleep, with all its components.' },
);
export type Player = Static<typeof Player>;

export const Monster = Type.Object({ id: Type.String(), position: Place }, { $id: 'Monster', description: 'A monster that wanders.' });
export type Monster = Static<typeof Monster>;

export const GroundItem = Type.Object(
  { id: Type.String(), item: ItemKind, position: Place },
  { $id: 'GroundItem', description: 'An item that lies on the ground.' },
);
export type GroundItem = Static<typeof GroundItem>;

/** The components an operator may edit, each with its schema. */
export const EDITABLE = { position: Place, motion: Motion, health: PlayerHealth, cooldown: Cooldown, bag: Bag } as const;
export type EditableComponent = keyof typeof EDITABLE;

/** What a zone’s map is made from. The same numbers give the same map everywhere. */
export const WorldPlan = Type.Object(
  {
    seed: Type.Integer({ minimum: 0, maximum: 0xffffffff }),
    columns: Type.Integer({ minimum: 1, maximum: 100 }),
    rows: Type.Integer({ minimum: 1, maximum: 100 }),
    monsters: Type.Integer({ minimum: 0, maximum: 500, description: 'In each zone.' }),
    items: Type.Integer({ minimum: 0, maximum: 500, description: 'In each zone.' }),
  },
  { $id: 'WorldPlan', description: 'The shape of the world.' },
);
export type WorldPlan = Static<typeof WorldPlan>;

/** A player on the way between two zones: counted where it left until the other side has it on record. */
export interface Handover {
  readonly from: ZoneId;
  readonly to: ZoneId;
  /** Counts the handovers from `from` to `to`. */
  readonly number: number;
  /** Every handover from `from` to `to` below this one is confirmed; the receiver need not remember them. */
  readonly floor: number;
  readonly player: Player;
  /** Where it stood before, should it have to turn back. */
  readonly origin: Place;
}

/** All that stands and lies in a zone. */
export interface WorldObjects {
  readonly players: Record<PlayerId, Player>;
  readonly monsters: Record<string, Monster>;
  readonly items: Record<string, GroundItem>;
  readonly respawns: readonly number[];
}

/** Everything a zone of the world may be asked to do. */
export type WorldCommand =
  | { type: 'FoundZone'; plan: WorldPlan }
  /** `isNew`: no zone knows the player, so this one may make it. */
  | { type: 'JoinZone'; player: PlayerId; name: string; session: string; isNew: boolean }
  | { type: 'LeaveZone'; player: PlayerId; session: string; reason: LeaveReason }
  | ({ player: PlayerId; session: string; n: number } & PlayerIntent)
  | { type: 'AdmitPlayer'; handover: Handover }
  | { type: 'ConfirmHandover'; player: PlayerId; to: ZoneId; number: number }
  /** Only while the handover was never sent. */
  | { type: 'RecallPlayer'; player: PlayerId; number: number }
  | { type: 'CountOffences'; player: PlayerId; offences: Record<string, number> }
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
      moment: number;
      /** Items of the other zones, as those were asked while the zone had handed over `sent` to each. */
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

/** A session that is over, and when it began. */
export interface EndedSession {
  readonly session: string;
  readonly since: number;
}

export type LeaveReason = 'left' | 'lost' | 'replaced' | 'kicked';

/** Everything that can have happened in a zone of the world. */
export type WorldEvent =
  | { type: 'ZoneFounded'; plan: WorldPlan; monsters: readonly Monster[]; items: readonly GroundItem[] }
  | { type: 'PlayerJoined'; player: Player }
  | { type: 'PlayerWoke'; player: PlayerId; name: string; session: string; at: number; replaced: EndedSession | null }
  | { type: 'PlayerFellAsleep'; player: PlayerId; reason: LeaveReason; at: number; ended: EndedSession }
  | { type: 'PlayerForgotten'; player: PlayerId }
  | { type: 'PlayerMoved'; player: PlayerId; n: number; x: number; y: number; allowance: number; at: number }
  | { type: 'ItemPickedUp'; player: PlayerId; n: number; item: string; kind: ItemKind; respawnAt: number }
  /** `health` is what it has afterwards; `until` when the effect ends, 0 where it has none that lasts. */
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
  | { type: 'OffencesCounted'; player: PlayerId; offences: Record<string, number> }
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
  | { type: 'ZoneRestored'; objects: WorldObjects; moment: number; operator: string; reason: string; at: number };

/** Why the world refuses. `offence`: an honest client does not do that; it is counted as suspicion. */
export const WORLD_REFUSALS = {
  NOT_INITIALIZED: { offence: false, says: 'The zone has no map yet.' },
  ALREADY_INITIALIZED: { offence: false, says: 'The zone has its map already.' },
  PLAYER_NOT_IN_ZONE: { offence: false, says: 'There is no such player in this zone.' },
  IN_TRANSIT: { offence: false, says: 'The player is on the way to the next zone.' },
  SESSION_MISMATCH: { offence: false, says: 'The player is played from another session.' },
  ZONE_FULL: { offence: false, says: 'The zone has as many players as it can carry.' },
  DUPLICATE_COMMAND: { offence: true, says: 'A command with this number, or a higher one, was accepted before.' },
  OUT_OF_BOUNDS: { offence: true, says: 'That place is outside the world.' },
  BLOCKED: { offence: false, says: 'Something stands in the way.' },
  THROUGH_WALL: { offence: true, says: 'Something stands between here and there.' },
  TELEPORT: { offence: true, says: 'That is farther than anybody can go at once.' },
  TOO_FAST: { offence: true, says: 'That is farther than the player could have come by now.' },
  DEAD: { offence: false, says: 'The player is dead.' },
  STUNNED: { offence: false, says: 'The player is stunned.' },
  COOLDOWN: { offence: false, says: 'It is too soon to do that again.' },
  UNKNOWN_ITEM: { offence: false, says: 'There is no such item.' },
  OUT_OF_REACH: { offence: true, says: 'That is too far away to be taken.' },
  BAG_FULL: { offence: false, says: 'The bag is full.' },
  NOT_CARRIED: { offence: false, says: 'The player does not carry that.' },
  INVALID_FIELD: { offence: false, says: 'A component has no such field, or it cannot have that value.' },
  PLAYERS_LEFT: { offence: false, says: 'Players have left the zone while the other zones were asked what they have.' },
} as const;
export type WorldRefusal = keyof typeof WORLD_REFUSALS;
