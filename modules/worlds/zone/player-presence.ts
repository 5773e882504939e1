import type { EndedSession, Player, WorldCommand } from '@millrace/contracts';
import { freePlace } from './terrain.ts';
import type { InitializedWorld } from './world-state.ts';
import { refuse, type WorldContext } from './zone-context.ts';

const WALKING_SPEED = 500;
const BAG_ITEMS = 12;
const HEALTH = 100;
/** Largest number of players for a join: a zone ticks at 20 Hz with reserve. Players from another zone are always admitted. */
const AWAKE_MAX = 2_000;

/** Decides whether a session may play a player of this zone: one that is asleep here, or a new one. */
export function join(state: InitializedWorld, command: WorldCommand & { type: 'JoinZone' }, context: WorldContext): void {
  const { player: id, name, session } = command;
  if (state.departures[id]) return refuse(context, 'IN_TRANSIT', `Player ${id}, zone ${state.zone}.`);
  const known = state.players[id];
  if (known?.presence.session === session) return;
  if (!known && (!command.isNew || state.newcomers[id] !== undefined))
    return refuse(context, 'PLAYER_NOT_IN_ZONE', `Player ${id}, zone ${state.zone}.`);
  if (!(known && known.presence.session !== '') && state.awake >= AWAKE_MAX)
    return refuse(context, 'ZONE_FULL', `${state.awake} are in zone ${state.zone}.`);
  if (known) {
    const replaced = known.presence.session === '' ? null : endedSession(known);
    return context.emit({ type: 'PlayerWoke', player: id, name, session, at: context.now, replaced });
  }
  context.emit({
    type: 'PlayerJoined',
    player: {
      id,
      name,
      position: freePlace(state.plan, state.zone, context.random),
      motion: { speed: WALKING_SPEED, boostedUntil: 0, allowance: WALKING_SPEED / 2, at: context.now },
      health: { points: HEALTH, most: HEALTH, stunnedUntil: 0, diedAt: 0 },
      bag: { items: [], most: BAG_ITEMS },
      cooldown: { useAt: 0, sayAt: 0 },
      presence: { session, since: context.now, n: 0 },
      violations: { total: 0, byCode: {} },
    },
  });
}

/** Puts a player to sleep. The `leave` of a replaced session has no effect. */
export function leave(player: Player, command: WorldCommand & { type: 'LeaveZone' }, context: WorldContext): void {
  if (player.presence.session !== command.session) return;
  context.emit({ type: 'PlayerFellAsleep', player: player.id, reason: command.reason, at: context.now, ended: endedSession(player) });
}

/** Ends the session of a player for an operator. */
export function kick(player: Player, { operator, reason }: WorldCommand & { type: 'KickPlayer' }, context: WorldContext): void {
  if (player.presence.session === '') return refuse(context, 'PLAYER_NOT_IN_ZONE', `${player.id} is asleep.`);
  context.emit({ type: 'PlayerKicked', player: player.id, operator, reason, at: context.now, ended: endedSession(player) });
}

function endedSession({ presence }: Player): EndedSession {
  return { session: presence.session, since: presence.since };
}
