import type { PlayerId, WorldEvent, ZoneId } from '@millrace/contracts';
import type { Handle } from '../messages.ts';
import type { World } from '../zone/world-state.ts';
import type { Audience } from './audience.ts';
import type { ZoneHandovers } from './zone-handovers.ts';
import { noCounts, type ZoneCounts } from './zone-stats.ts';

/** A player whose session is missing for this long falls asleep, ms: its gateway has ended as well. */
const SESSION_LOST_MS = 45_000;

/** A session that plays a player of a zone. */
export interface Guest {
  readonly handle: Handle;
  readonly player: PlayerId;
  readonly session: string;
  readonly zone: ZoneId;
}

/** A host’s data of an open zone in addition to its state. */
export class OpenZone {
  readonly zone: ZoneId;
  readonly audience: Audience;
  readonly handovers: ZoneHandovers;
  /** The session that plays each player; at most one. */
  readonly guests = new Map<PlayerId, Guest>();
  counts: ZoneCounts = noCounts();
  ticksUntilUpdate: number;
  /** Time of the last check for players without a session, ms of the clock’s `elapsed`. */
  checkedAt = 0;
  /** Epoch ms of the newest snapshot in each store; 0 when this host has taken none. */
  hotAt = 0;
  coldAt = 0;
  /** How many undecided `JoinZone` commands each player has. */
  readonly #joining = new Map<PlayerId, number>();
  readonly #violations = new Map<PlayerId, Record<string, number>>();
  /** Awake players without a session, and when each lost it, ms of the clock’s `elapsed`. */
  #unattended = new Map<PlayerId, number>();

  constructor(parts: { zone: ZoneId; audience: Audience; handovers: ZoneHandovers; ticksUntilUpdate: number }) {
    this.zone = parts.zone;
    this.audience = parts.audience;
    this.handovers = parts.handovers;
    this.ticksUntilUpdate = parts.ticksUntilUpdate;
  }

  /** The handle of the session that plays a player; none when there is no such session. */
  handlesOf(player: PlayerId): Handle[] {
    const guest = this.guests.get(player);
    return guest ? [guest.handle] : [];
  }

  /** The handles of all sessions that are attached. */
  get handles(): Handle[] {
    return Array.from(this.guests.values(), ({ handle }) => handle);
  }

  beginJoin(player: PlayerId): void {
    this.#joining.set(player, (this.#joining.get(player) ?? 0) + 1);
  }

  endJoin(player: PlayerId): void {
    const left = (this.#joining.get(player) ?? 1) - 1;
    if (left > 0) this.#joining.set(player, left);
    else this.#joining.delete(player);
  }

  isJoining(player: PlayerId): boolean {
    return this.#joining.has(player);
  }

  /**
   * Players that the zone has forgotten by these events, and neither has again nor may admit by a waiting command: after an outage of the log, they may have
   * been created again long before the events were stored.
   */
  forgotten(events: readonly WorldEvent[], { players, departures }: World): PlayerId[] {
    const mayHave = (player: PlayerId) => players[player] !== undefined || departures[player] !== undefined || this.isJoining(player);
    return events.flatMap((event) => (event.type === 'PlayerForgotten' && !mayHave(event.player) ? [event.player] : []));
  }

  /** Players whose `JoinZone` is not decided yet. */
  get joining(): Iterable<PlayerId> {
    return this.#joining.keys();
  }

  countViolation(player: PlayerId, code: string, count: number): void {
    const counts = this.#violations.get(player) ?? {};
    counts[code] = (counts[code] ?? 0) + count;
    this.#violations.set(player, counts);
  }

  /** Violations of each player since the last call, by code. */
  takeViolations(): [PlayerId, Record<string, number>][] {
    const taken = [...this.#violations];
    this.#violations.clear();
    return taken;
  }

  /** Awake players whose session is missing for too long. Call it every few seconds; `now` in ms of the clock’s `elapsed`. */
  lostSessions({ players }: World, now: number): { readonly player: PlayerId; readonly session: string }[] {
    const lost: { player: PlayerId; session: string }[] = [];
    const before = this.#unattended;
    // Without players that have left: one that returns gets its whole time again.
    this.#unattended = new Map();
    for (const { id, presence } of Object.values(players)) {
      if (presence.session === '' || this.guests.get(id)?.session === presence.session) continue;
      const since = before.get(id) ?? now;
      this.#unattended.set(id, since);
      if (now - since > SESSION_LOST_MS) lost.push({ player: id, session: presence.session });
    }
    return lost;
  }
}
