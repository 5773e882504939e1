import type { Bag, Handover, Motion, Place, Player, PlayerId, PlayerIntent, ZoneId } from '@millrace/contracts';
import { withAccepted } from './accepted.ts';
import { isAhead } from './clock-set-back.ts';
import { isBlocked, isFreeWay, isInWorld, zoneAt } from './terrain.ts';
import type { InitializedWorld, World } from './world-state.ts';
import { refuse, type WorldContext } from './zone-context.ts';
import { DEAD_MS, RESPAWN_MS } from './zone-upkeep.ts';

/** Factor on the speed limit: a tenth more, because the clock and network of an honest client are not exact. */
const SPEED_TOLERANCE = 1.1;
/** After a rest, a player may move at once as far as it walks in this time, ms: moves arrive in bursts. */
const BURST_MS = 1_000;
/** A move longer than this many bursts is a teleport, not excess speed. */
const TELEPORT_BURSTS = 3;
const BOOST = 1.5;
const BOOST_MS = 10_000;
const STUN_MS = 3_000;
const APPLE_HEALTH = 20;
const MUSHROOM_HEALTH = 40;
/** Largest distance of an item that a player can pick up, cm. */
const REACH = 300;

/** Decides a player’s intent, after the checks for every intent: session, command number, alive. */
export function decideIntent(
  state: InitializedWorld,
  player: Player,
  command: { player: PlayerId; session: string; n: number } & PlayerIntent,
  context: WorldContext,
): void {
  const { session, n } = command;
  const { presence, health } = player;
  if (presence.session !== session) return refuse(context, 'SESSION_MISMATCH', `Session ${session} does not play ${player.id}.`);
  if (n <= presence.n) return refuse(context, 'DUPLICATE_COMMAND', `Number ${n}; ${presence.n} was accepted.`);
  if (health.points === 0) return refuse(context, 'DEAD', `Revives ${DEAD_MS / 1_000} s after its death.`);
  if (health.stunnedUntil > context.now) return refuse(context, 'STUNNED', `For ${health.stunnedUntil - context.now} ms more.`);
  switch (command.type) {
    case 'Move':
      return move(state, player, { x: command.x, y: command.y }, n, context);
    case 'PickUp':
      return pickUp(state, player, command.item, n, context);
    case 'Use':
      return use(player, command.item, n, context);
    case 'Say':
      if (player.cooldown.sayAt > context.now)
        return refuse(context, 'COOLDOWN', `Speak again in ${player.cooldown.sayAt - context.now} ms.`);
      return context.emit({ type: 'PlayerSaid', player: player.id, n, text: command.text, at: context.now });
  }
}

function move(state: InitializedWorld, player: Player, to: Place, n: number, context: WorldContext): void {
  const { plan } = state;
  const from = player.position;
  const { now } = context;
  if (!isInWorld(plan, to)) return refuse(context, 'OUT_OF_BOUNDS', `(${to.x}, ${to.y}) was asked for.`);
  const distance = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y));
  const { burst, allowed } = reachOf(player.motion, now);
  if (distance > burst * TELEPORT_BURSTS) return refuse(context, 'TELEPORT', `${distance} cm were asked for, ${allowed} are possible.`);
  if (distance > allowed) return refuse(context, 'TOO_FAST', `${distance} cm were asked for, ${allowed} are possible.`);
  const zone = zoneAt(to);
  if (!isFreeWay(plan, from, to)) {
    // Bumping into an obstacle is normal. A target behind it is not, because the client has the map.
    const isThrough = zone === state.zone && !isBlocked(plan, to);
    return refuse(context, isThrough ? 'THROUGH_WALL' : 'BLOCKED', `On the way from (${from.x}, ${from.y}) to (${to.x}, ${to.y}).`);
  }
  const allowance = allowed - distance;
  if (zone === state.zone) return context.emit({ type: 'PlayerMoved', player: player.id, n, x: to.x, y: to.y, allowance, at: now });
  const departing = {
    ...structuredClone(player),
    position: to,
    motion: { ...player.motion, allowance, at: now },
    presence: { ...player.presence, ...withAccepted(player.presence, n) },
  };
  context.emit({ type: 'PlayerDeparted', handover: handoverOf(state, departing, from, zone), n, at: now });
}

/** @param origin where the player was before the step over the border */
function handoverOf(state: World, player: Player, origin: Place, to: ZoneId): Handover {
  const number = (state.sent[to] ?? 0) + 1;
  const outstanding = Object.values(state.departures).filter((handover) => handover.to === to);
  return {
    from: state.zone,
    to,
    number,
    floor: outstanding.reduce((least, handover) => Math.min(least, handover.number), number),
    origin: { ...origin },
    player,
  };
}

/** `allowed`: how far a player may move now; `burst`: how far at most at once. Both cm. */
function reachOf({ speed, boostedUntil, allowance, at }: Motion, now: number): { burst: number; allowed: number } {
  const perMs = (speed * SPEED_TOLERANCE * (boostedUntil > now ? BOOST : 1)) / 1_000;
  const burst = Math.floor(perMs * BURST_MS);
  if (isAhead(at, now)) return { burst, allowed: burst };
  return { burst, allowed: Math.min(burst, Math.floor(allowance + perMs * Math.max(0, now - at))) };
}

function pickUp(state: InitializedWorld, player: Player, id: string, n: number, context: WorldContext): void {
  // The client sends any text, also the name of a member that every object has.
  const item = Object.hasOwn(state.items, id) ? state.items[id] : undefined;
  if (!item) return refuse(context, 'UNKNOWN_ITEM', `"${id}" does not lie in zone ${state.zone}.`);
  const distance = Math.ceil(Math.hypot(item.position.x - player.position.x, item.position.y - player.position.y));
  if (distance > REACH) return refuse(context, 'OUT_OF_REACH', `${distance} cm; the reach is ${REACH}.`);
  if (isFull(player.bag)) return refuse(context, 'BAG_FULL', `It holds ${player.bag.most}.`);
  context.emit({ type: 'ItemPickedUp', player: player.id, n, item: id, kind: item.item, respawnAt: context.now + RESPAWN_MS });
}

function isFull({ items, most }: Bag): boolean {
  return items.length >= most;
}

function use(player: Player, id: string, n: number, context: WorldContext): void {
  const { now } = context;
  const { health } = player;
  const carried = player.bag.items.find((item) => item.id === id);
  if (!carried) return refuse(context, 'NOT_CARRIED', `"${id}".`);
  if (player.cooldown.useAt > now) return refuse(context, 'COOLDOWN', `Use something again in ${player.cooldown.useAt - now} ms.`);
  const outcome = {
    apple: { health: Math.min(health.most, health.points + APPLE_HEALTH), until: 0 },
    boots: { health: health.points, until: now + BOOST_MS },
    mushroom: { health: Math.max(0, health.points - MUSHROOM_HEALTH), until: now + STUN_MS },
  }[carried.item];
  context.emit({ type: 'ItemUsed', player: player.id, n, item: id, kind: carried.item, ...outcome, at: now });
  if (outcome.health === 0) context.emit({ type: 'PlayerDied', player: player.id, at: now });
}
