import type { LeaveReason, PlayerId, PlayerIntent, WorldCommand, ZoneId } from '@millrace/contracts';
import type { CommandMeta } from '@millrace/kernel';
import type { PlayerPlace } from './player-list.ts';

/*
 * Messages between the gateway, which terminates the players’ connections, and the zone hosts. A message may arrive late,
 * twice or not at all. Every message can be sent again without harm.
 */

/** Id of a session between gateway and hosts: a 32-bit number, because each message carries it. */
export type Handle = number;

export type ToZoneHost =
  /** Attaches a session to this zone, at a join or a return. With `n`, a client’s `join` waits for its reply. */
  | { type: 'enter'; handle: Handle; zone: ZoneId; player: PlayerId; name: string; session: string; n: number | null; isNew: boolean }
  | { type: 'intent'; handle: Handle; zone: ZoneId; n: number; intent: PlayerIntent }
  /** Ends a session. With `n`, a client’s `leave` waits for its reply. */
  | { type: 'leave'; handle: Handle; zone: ZoneId; player: PlayerId; session: string; reason: LeaveReason; n: number | null }
  /** Sessions of an `attached` that the gateway does not have. */
  | { type: 'ended'; handles: Handle[] }
  /** Updates were dropped for this session: it needs a full view. */
  | { type: 'refresh'; handle: Handle; zone: ZoneId }
  /** Stops updates for the session until a `refresh`. */
  | { type: 'mute'; handle: Handle; zone: ZoneId }
  /** Violations that the gateway counted. */
  | { type: 'violations'; zone: ZoneId; player: PlayerId; counts: Record<string, number> }
  /** Requests `zone-players` again, because the gateway has not received it. */
  | { type: 'recount'; zone: ZoneId }
  /** Sets the number of ticks between two updates, for all zones. */
  | { type: 'pace'; updateEveryTicks: number }
  /** A command from another zone or an operator, for a zone of this host; `ask` requests an `answer`. A handover has no id: the zones detect repeats. */
  | { type: 'deliver'; zone: ZoneId; command: WorldCommand; meta: CommandMeta; ask: number | null }
  /** A query by an operator; requests an `answer`. */
  | { type: 'question'; ask: number; question: Question };

export type Question =
  | { about: 'zone'; zone: ZoneId }
  | { about: 'player'; zone: ZoneId; player: PlayerId }
  | { about: 'players'; zone: ZoneId; find: string; flagged: boolean; after: PlayerPlace | null; limit: number }
  | { about: 'objects'; zone: ZoneId }
  /** Every item in the zone and on the way from it, and every player. */
  | { about: 'contents'; zone: ZoneId }
  /** Newest seq of the zone, and the seed of its map. */
  | { about: 'seq'; zone: ZoneId }
  | { about: 'snapshot'; zone: ZoneId; store: 'hot' | 'cold' };

export type FromZoneHost =
  /** The reply to command `n`, as a whole frame; `code` when it was refused. */
  | { type: 'reply'; handle: Handle; zone: ZoneId; n: number; code: string | null; frame: Uint8Array }
  /** A frame for several sessions. With `matters` it must not be dropped. */
  | { type: 'cast'; handles: Handle[]; matters: boolean; frame: Uint8Array }
  /** A notice for sessions; the gateway numbers it for each. */
  | { type: 'notice'; handles: Handle[]; kind: string; from: string | null; text: string | null; at: number }
  /**
   * The session is attached to the zone; `frame` is the client’s state there. `accepted`: numbers of its newest accepted commands. All other commands
   * sent to the zone before had no effect.
   */
  | { type: 'entered'; handle: Handle; zone: ZoneId; player: PlayerId; session: string; frame: Uint8Array; accepted: number[] }
  /** The sessions that are attached to a zone, every few seconds. Those that have ended do not stay, although their `leave` was lost or not sent. */
  | { type: 'attached'; zone: ZoneId; handles: Handle[] }
  /** The session is not in the zone: after the `leave` with number `n`, or with a code, because its `join` was refused or its player is not there. */
  | { type: 'left'; handle: Handle; zone: ZoneId; n: number | null; code: string | null }
  /** The zone is not on this host. */
  | { type: 'astray'; handle: Handle; zone: ZoneId }
  /** `zone-players`: the players of a zone when it opens, and those between zones or about to be admitted. `arrived`: a later arrival. */
  | { type: 'zone-players'; zone: ZoneId; players: PlayerId[]; between: PlayerId[] }
  | { type: 'arrived'; zone: ZoneId; player: PlayerId; session: string }
  /** The zone has forgotten these sleeping players, the log has that, and they have not joined it again since. */
  | { type: 'forgotten'; zone: ZoneId; players: PlayerId[] }
  | { type: 'kicked'; zone: ZoneId; player: PlayerId; reason: string }
  | { type: 'deliver'; zone: ZoneId; command: WorldCommand; meta: CommandMeta }
  | { type: 'answer'; ask: number; answer: unknown }
  | { type: 'stats'; zones: ZoneStats[] };

/** What a host reports of each of its zones, once a second. */
export interface ZoneStats {
  readonly zone: ZoneId;
  readonly awake: number;
  readonly asleep: number;
  readonly inTransit: number;
  readonly flagged: number;
  readonly seq: number;
  readonly epoch: number;
  readonly waiting: number;
  /** Counts of the last second. */
  readonly ticks: number;
  readonly tickMsMean: number;
  readonly tickMsMax: number;
  readonly lateMsMax: number;
  readonly skippedTicks: number;
  readonly accepted: number;
  readonly refused: number;
  readonly events: number;
  /** Epoch ms of the newest snapshot in each store; 0 when there is none from this host. */
  readonly hotAt: number;
  readonly coldAt: number;
}

/** A zone host as the gateway sees it. */
export interface HostPort {
  readonly id: string;
  send(message: ToZoneHost): void;
}
