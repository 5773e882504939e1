import type { LeaveReason, PlayerId, PlayerIntent, WorldCommand, ZoneId } from '@millrace/contracts';
import type { CommandMeta } from '@millrace/kernel';
import type { PlayerPlace } from './player-list.ts';

/*
 * What the gateway, where the players’ connections end, and the zone hosts say to each other. Messages may come late, twice or
 * not at all: every one can be sent again without harm.
 */

/** Names a session between gateway and hosts; a number of 32 bits, because each message carries it. */
export type Handle = number;

export type ToZoneHost =
  /** The session plays in this zone now: join, or come back. With `n`, a client’s `join` waits for its answer. */
  | { type: 'enter'; handle: Handle; zone: ZoneId; player: PlayerId; name: string; session: string; n: number | null; isNew: boolean }
  | { type: 'intent'; handle: Handle; zone: ZoneId; n: number; intent: PlayerIntent }
  /** The session is over; with `n`, a client’s `leave` waits for its answer. */
  | { type: 'leave'; handle: Handle; zone: ZoneId; player: PlayerId; session: string; reason: LeaveReason; n: number | null }
  /** Updates were left out for this session: it needs to see everything again. */
  | { type: 'refresh'; handle: Handle; zone: ZoneId }
  /** Nothing needs to be sent to the session for now; it may come back. */
  | { type: 'mute'; handle: Handle; zone: ZoneId }
  /** Violations that the gateway counted. */
  | { type: 'violations'; zone: ZoneId; player: PlayerId; counts: Record<string, number> }
  /** The zone has not said yet whom it has: say it again. */
  | { type: 'recount'; zone: ZoneId }
  /** How many ticks lie between two updates, for all zones. */
  | { type: 'pace'; updateEveryTicks: number }
  /** A command from another zone or an operator, for a zone of this host; `ask` wants an `answer`. A handover has no id: the zones know repeats. */
  | { type: 'deliver'; zone: ZoneId; command: WorldCommand; meta: CommandMeta; ask: number | null }
  /** A question of an operator’s; wants an `answer`. */
  | { type: 'question'; ask: number; question: Question };

export type Question =
  | { about: 'zone'; zone: ZoneId }
  | { about: 'player'; zone: ZoneId; player: PlayerId }
  | { about: 'players'; zone: ZoneId; find: string; flagged: boolean; after: PlayerPlace | null; limit: number }
  | { about: 'objects'; zone: ZoneId }
  /** Every item in it and on the way from it, and every player. */
  | { about: 'contents'; zone: ZoneId }
  | { about: 'seq'; zone: ZoneId }
  | { about: 'snapshot'; zone: ZoneId; store: 'hot' | 'cold' };

export type FromZoneHost =
  /** The answer to command `n`, as a whole frame; `code` when it was refused. */
  | { type: 'reply'; handle: Handle; zone: ZoneId; n: number; code: string | null; frame: Uint8Array }
  /** A frame for several sessions; one that `matters` must not be left out. */
  | { type: 'cast'; handles: Handle[]; matters: boolean; frame: Uint8Array }
  /** A notice for sessions; the gateway numbers it for each. */
  | { type: 'notice'; handles: Handle[]; kind: string; from: string | null; text: string | null; at: number }
  /**
   * The session is in the zone; `frame` tells its client where it is. `accepted`: which of its newest commands were accepted; whatever else was sent to
   * the zone before had no effect.
   */
  | { type: 'entered'; handle: Handle; zone: ZoneId; player: PlayerId; frame: Uint8Array; accepted: number[] }
  /** The session is not in the zone: by the `leave` with the number `n`, or with a code because its `join` was refused or its player is not there. */
  | { type: 'left'; handle: Handle; zone: ZoneId; n: number | null; code: string | null }
  /** The zone is not on this host. */
  | { type: 'astray'; handle: Handle; zone: ZoneId }
  /** All whom a zone has when it is opened, and who is on the way from there, or about to be let in; and one who arrived later. */
  | { type: 'zone-players'; zone: ZoneId; players: PlayerId[]; between: PlayerId[] }
  | { type: 'arrived'; zone: ZoneId; player: PlayerId; session: string }
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
  /** Of the last second. */
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
