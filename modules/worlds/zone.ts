import { mix, Random, seedOf } from '@millrace/base/random';
import {
  type Bag,
  type EndedSession,
  type GroundItem,
  type Handover,
  ITEM_KINDS,
  type ItemKind,
  type Motion,
  type Place,
  type Player,
  type PlayerId,
  type PlayerIntent,
  type Presence,
  WORLD_REFUSALS,
  WORLD_TICK_MS,
  type WorldCommand,
  type WorldEvent,
  type WorldPlan,
  type WorldRefusal,
  type ZoneId,
} from '@millrace/contracts';
import { type Context, defineZone } from '@millrace/kernel';
import { withAccepted } from './accepted.ts';
import { editedFields } from './edit.ts';
import { restored } from './restore.ts';
import { freePlace, isBlocked, isFreeWay, isInWorld, zoneAt } from './terrain.ts';
import { upcastEvent, upcastState, WORLD_VERSION } from './versions.ts';
import type { InitializedWorld, World } from './world-state.ts';

const WALKING_SPEED = 500;
/** An honest client’s clock and network are not exact: a tenth more than the speed is granted. */
const SPEED_TOLERANCE = 1.1;
/** A player that stood still may go as far at once as it would have come in this time: moves come in bunches. */
const BURST_MS = 1_000;
/** Farther than this many bursts is no haste any more. */
const TELEPORT_BURSTS = 3;
const BOOST = 1.5;
const BOOST_MS = 10_000;
const STUN_MS = 3_000;
const APPLE_HEALTH = 20;
const MUSHROOM_HEALTH = 40;
const USE_COOLDOWN_MS = 1_000;
const SAY_COOLDOWN_MS = 500;
/** How far a player can reach, cm. */
const REACH = 300;
const BAG_ITEMS = 12;
const HEALTH = 100;
const DEAD_MS = 5_000;
const RESPAWN_MS = 30_000;
/** Each monster takes a step every so many ticks, not all in the same one. */
const MONSTER_EVERY_TICKS = 10;
/** Its steps, cm: about 1.2 m to one of eight sides. */
const MONSTER_STEPS: readonly (readonly [dx: number, dy: number])[] = [
  [120, 0],
  [85, 85],
  [0, 120],
  [-85, 85],
  [-120, 0],
  [-85, -85],
  [0, -120],
  [85, -85],
];
/** What a zone can carry at 20 Hz with room to spare. Those who walk in are always taken. */
const AWAKE_MAX = 2_000;
/** Sleeping players a zone remembers; beyond it the one that has slept longest is forgotten. */
const ASLEEP_MAX = 5_000;
/** How long a request to make a player may be on its way: longer than a host that does not answer keeps its zones. */
const NEWCOMER_MS = 60_000;
/** Dead players, due items and sleepers are looked at this often. */
const CARE_EVERY_TICKS = 10;

export type { World } from './world-state.ts';

/** The consumer group that writes the world’s tables. */
export const WORLD_HISTORY = 'world-history';

type WorldContext = Context<WorldEvent>;

/** A zone of the world: what clients and operators ask is decided here, and nowhere else. */
export const worldZone = defineZone<World, WorldCommand, WorldEvent>({
  kind: 'world',
  version: WORLD_VERSION,
  tickMs: WORLD_TICK_MS,
  create: (zone) => ({
    zone,
    plan: null,
    players: {},
    awake: 0,
    monsters: {},
    items: {},
    respawns: [],
    itemsEver: 0,
    departures: {},
    sent: {},
    received: {},
    newcomers: {},
  }),

  decide(state, command, context) {
    if (command.type === 'CreateZone') return initialize(state, command.plan, context);
    if (state.plan === null) return refuse(context, 'NOT_INITIALIZED', `Zone ${state.zone}.`);
    switch (command.type) {
      case 'JoinZone':
        return join(state as InitializedWorld, command, context);
      case 'AdmitPlayer':
        if (!wasReceived(state, command.handover)) context.emit({ type: 'PlayerArrived', handover: command.handover, at: context.now });
        return;
      case 'ConfirmHandover': {
        const { to, number } = command;
        const departed = Object.values(state.departures).find((handover) => handover.to === to && handover.number === number);
        if (departed) context.emit({ type: 'HandoverConfirmed', player: departed.player.id, to, number });
        return;
      }
      case 'RecallPlayer': {
        const departed = state.departures[command.player];
        if (departed?.number === command.number)
          context.emit({ type: 'PlayerRecalled', player: command.player, to: departed.to, number: departed.number });
        return;
      }
      case 'RestoreZone':
        return restore(state as InitializedWorld, command, context);
      case 'Announce':
        return context.emit({ type: 'Announced', text: command.text, operator: command.operator, at: context.now });
    }
    const player = state.players[command.player];
    if (!player)
      return refuse(
        context,
        state.departures[command.player] ? 'IN_TRANSIT' : 'PLAYER_NOT_IN_ZONE',
        `Player ${command.player}, zone ${state.zone}.`,
      );
    switch (command.type) {
      case 'LeaveZone':
        // A session that was replaced has nothing to leave any more.
        if (player.presence.session === command.session)
          context.emit({ type: 'PlayerFellAsleep', player: player.id, reason: command.reason, at: context.now, ended: endedOf(player) });
        return;
      case 'CountViolations':
        return context.emit({ type: 'ViolationsCounted', player: player.id, counts: command.counts });
      case 'KickPlayer':
        if (player.presence.session === '') return refuse(context, 'PLAYER_NOT_IN_ZONE', `${player.id} is asleep.`);
        return context.emit({
          type: 'PlayerKicked',
          player: player.id,
          operator: command.operator,
          reason: command.reason,
          at: context.now,
          ended: endedOf(player),
        });
      case 'EditPlayer':
        return edit(state as InitializedWorld, player, command, context);
      default:
        return decideIntent(state as InitializedWorld, player, command, context);
    }
  },

  tick(state, context) {
    if (state.plan === null || state.awake === 0) return;
    const tick = Math.floor(context.now / WORLD_TICK_MS);
    wander(state as InitializedWorld, tick, context);
    if (tick % CARE_EVERY_TICKS === 0) care(state as InitializedWorld, context);
  },

  evolve(state, event) {
    switch (event.type) {
      case 'ZoneCreated':
        state.plan = event.plan;
        for (const monster of event.monsters) state.monsters[monster.id] = structuredClone(monster);
        for (const item of event.items) state.items[item.id] = item;
        state.itemsEver = event.items.length;
        return;
      case 'PlayerJoined':
        state.players[event.player.id] = structuredClone(event.player);
        state.awake++;
        noteNewcomer(state.newcomers, event.player);
        return;
      case 'PlayerWoke': {
        const player = playerOf(state, event.player);
        if (player.presence.session === '') state.awake++;
        player.name = event.name;
        player.presence = { ...acceptedOf(player.presence, event.session), session: event.session, since: event.at };
        return;
      }
      case 'PlayerFellAsleep':
      case 'PlayerKicked': {
        const player = playerOf(state, event.player);
        const { session } = player.presence;
        player.presence = { ...acceptedOf(player.presence, session), session: '', last: session, since: event.at };
        state.awake--;
        return;
      }
      case 'PlayerForgotten':
        delete state.players[event.player];
        delete state.newcomers[event.player];
        return;
      case 'PlayerMoved': {
        const player = playerOf(state, event.player);
        player.position.x = event.x;
        player.position.y = event.y;
        player.motion.allowance = event.allowance;
        player.motion.at = event.at;
        Object.assign(player.presence, withAccepted(player.presence, event.n));
        return;
      }
      case 'ItemPickedUp': {
        const { bag, presence } = playerOf(state, event.player);
        delete state.items[event.item];
        bag.items.push({ id: event.item, item: event.kind });
        Object.assign(presence, withAccepted(presence, event.n));
        state.respawns.push(event.respawnAt);
        return;
      }
      case 'ItemUsed': {
        const { bag, presence, cooldown, health, motion } = playerOf(state, event.player);
        bag.items = bag.items.filter(({ id }) => id !== event.item);
        Object.assign(presence, withAccepted(presence, event.n));
        cooldown.useAt = event.at + USE_COOLDOWN_MS;
        health.points = event.health;
        if (event.kind === 'mushroom') health.stunnedUntil = event.until;
        if (event.kind === 'boots') motion.boostedUntil = event.until;
        return;
      }
      case 'ItemSpawned':
        state.items[event.item.id] = event.item;
        state.itemsEver++;
        state.respawns.shift();
        return;
      case 'PlayerSaid': {
        const { cooldown, presence } = playerOf(state, event.player);
        cooldown.sayAt = event.at + SAY_COOLDOWN_MS;
        Object.assign(presence, withAccepted(presence, event.n));
        return;
      }
      case 'PlayerDied': {
        const { health } = playerOf(state, event.player);
        health.points = 0;
        health.diedAt = event.at;
        return;
      }
      case 'PlayerRevived': {
        const { health, position, motion } = playerOf(state, event.player);
        health.points = event.health;
        health.diedAt = 0;
        position.x = event.x;
        position.y = event.y;
        motion.at = event.at;
        motion.allowance = 0;
        return;
      }
      case 'MonstersMoved':
        for (const [id, x, y] of event.moves) {
          const monster = state.monsters[id];
          if (monster) monster.position = { x, y };
        }
        return;
      case 'PlayerDeparted': {
        const { player, to, number } = event.handover;
        delete state.players[player.id];
        state.awake--;
        state.departures[player.id] = event.handover;
        state.sent[to] = number;
        return;
      }
      case 'PlayerArrived': {
        const { player, from, number, floor } = event.handover;
        state.players[player.id] = structuredClone(player);
        state.awake++;
        // Who comes back has arrived where it went, whether or not that was confirmed.
        delete state.departures[player.id];
        const before = state.received[from] ?? { floor: 1, above: [] };
        const least = Math.max(before.floor, floor);
        state.received[from] = { floor: least, above: [...before.above.filter((known) => known >= least), number] };
        return;
      }
      case 'PlayerRecalled': {
        const departed = state.departures[event.player];
        if (!departed) throw new Error(`the record of zone ${state.zone} recalls ${event.player}, who has not departed`);
        delete state.departures[event.player];
        state.players[event.player] = { ...structuredClone(departed.player), position: { ...departed.origin } };
        state.awake++;
        return;
      }
      case 'ZoneRestored': {
        const { players, monsters, items, respawns } = structuredClone(event.objects);
        Object.assign(state, { players, monsters, items, respawns: [...respawns] });
        return;
      }
      case 'HandoverConfirmed':
        delete state.departures[event.player];
        return;
      case 'ViolationsCounted': {
        const { violations } = playerOf(state, event.player);
        for (const [code, count] of Object.entries(event.counts)) {
          violations.byCode[code] = (violations.byCode[code] ?? 0) + count;
          violations.total += count;
        }
        return;
      }
      case 'PlayerEdited':
        Object.assign(playerOf(state, event.player)[event.component], structuredClone(event.fields));
        return;
      case 'Announced':
        return;
    }
  },

  upcast: upcastEvent,
  upcastState,
});

function noteNewcomer(newcomers: World['newcomers'], { id, presence }: Player): void {
  for (const [other, at] of Object.entries(newcomers)) {
    if (at >= presence.since - NEWCOMER_MS) break;
    delete newcomers[other as PlayerId];
  }
  newcomers[id] = presence.since;
}

/** Which commands of a session were accepted: none, unless it plays the player or was the last to do so. */
function acceptedOf({ session: playing, last, n, before }: Presence, session: string): Pick<Presence, 'n' | 'before'> {
  if (session !== (playing === '' ? last : playing)) return { n: 0 };
  return before === undefined ? { n } : { n, before };
}

function refuse(context: WorldContext, code: WorldRefusal, detail: string): void {
  context.refuse(code, `${WORLD_REFUSALS[code].says} ${detail}`);
}

/** A player that an event names is there: the event was decided so. */
function playerOf(state: World, id: PlayerId): Player {
  const player = state.players[id];
  if (!player) throw new Error(`the record of zone ${state.zone} speaks of player ${id}, who is not there`);
  return player;
}

function initialize(state: World, plan: WorldPlan, context: WorldContext): void {
  if (state.plan !== null) return refuse(context, 'ALREADY_INITIALIZED', `Zone ${state.zone} keeps the map of seed ${state.plan.seed}.`);
  const monsters = Array.from({ length: plan.monsters }, (_none, index) => ({
    id: `m${index + 1}`,
    position: freePlace(plan, state.zone, context.random),
  }));
  const items = Array.from({ length: plan.items }, (_none, index) => newItem(state.zone, plan, index, context));
  context.emit({ type: 'ZoneCreated', plan, monsters, items });
}

function newItem(zone: ZoneId, plan: WorldPlan, number: number, context: WorldContext): GroundItem {
  const kinds = Object.keys(ITEM_KINDS) as ItemKind[];
  const item = kinds[Math.floor(context.random() * kinds.length)] ?? 'apple';
  return { id: `${zone}:i${number + 1}`, item, position: freePlace(plan, zone, context.random) };
}

function join(state: InitializedWorld, command: WorldCommand & { type: 'JoinZone' }, context: WorldContext): void {
  const { player: id, name, session } = command;
  if (state.departures[id]) return refuse(context, 'IN_TRANSIT', `Player ${id}, zone ${state.zone}.`);
  const known = state.players[id];
  if (known?.presence.session === session) return;
  if (!known && (!command.isNew || state.newcomers[id] !== undefined))
    return refuse(context, 'PLAYER_NOT_IN_ZONE', `Player ${id}, zone ${state.zone}.`);
  if (!(known && known.presence.session !== '') && state.awake >= AWAKE_MAX)
    return refuse(context, 'ZONE_FULL', `${state.awake} are in zone ${state.zone}.`);
  if (known) {
    const replaced = known.presence.session === '' ? null : endedOf(known);
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

function endedOf({ presence }: Player): EndedSession {
  return { session: presence.session, since: presence.since };
}

function wasReceived(state: World, { from, number }: Handover): boolean {
  const known = state.received[from];
  return known !== undefined && (number < known.floor || known.above.includes(number));
}

/** What a player wants, after what concerns every command: session, number, life. */
function decideIntent(
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
    // To bump into something is part of walking. To ask for the far side of it, on a map that the client has, is not.
    const isThrough = zone === state.zone && !isBlocked(plan, to);
    return refuse(context, isThrough ? 'THROUGH_WALL' : 'BLOCKED', `On the way from (${from.x}, ${from.y}) to (${to.x}, ${to.y}).`);
  }
  const allowance = allowed - distance;
  if (zone === state.zone) return context.emit({ type: 'PlayerMoved', player: player.id, n, x: to.x, y: to.y, allowance, at: now });
  const number = (state.sent[zone] ?? 0) + 1;
  const outstanding = Object.values(state.departures).filter((handover) => handover.to === zone);
  context.emit({
    type: 'PlayerDeparted',
    handover: {
      from: state.zone,
      to: zone,
      number,
      floor: outstanding.reduce((least, handover) => Math.min(least, handover.number), number),
      origin: { ...from },
      player: {
        ...structuredClone(player),
        position: to,
        motion: { ...player.motion, allowance, at: now },
        presence: { ...player.presence, ...withAccepted(player.presence, n) },
      },
    },
    n,
    at: now,
  });
}

/** How far a player may go now, and at most at once, cm. */
function reachOf({ speed, boostedUntil, allowance, at }: Motion, now: number): { burst: number; allowed: number } {
  const perMs = (speed * SPEED_TOLERANCE * (boostedUntil > now ? BOOST : 1)) / 1_000;
  const burst = Math.floor(perMs * BURST_MS);
  return { burst, allowed: Math.min(burst, Math.floor(allowance + perMs * Math.max(0, now - at))) };
}

function pickUp(state: InitializedWorld, player: Player, id: string, n: number, context: WorldContext): void {
  const item = state.items[id];
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

function edit(state: InitializedWorld, player: Player, command: WorldCommand & { type: 'EditPlayer' }, context: WorldContext): void {
  const { component, operator, reason } = command;
  const fields = editedFields(state, player, component, command.fields, context.random);
  if (typeof fields === 'string') return refuse(context, 'INVALID_FIELD', fields);
  const present = player[component] as Record<string, unknown>;
  const was = Object.fromEntries(Object.keys(fields).map((field) => [field, structuredClone(present[field])]));
  context.emit({ type: 'PlayerEdited', player: player.id, component, fields, was, operator, reason });
  if (component === 'health' && player.health.points === 0 && player.health.diedAt === 0)
    context.emit({ type: 'PlayerDied', player: player.id, at: context.now });
}

/** Only while nobody has left since the other zones were asked: what left took its items there. */
function restore(state: InitializedWorld, command: WorldCommand & { type: 'RestoreZone' }, context: WorldContext): void {
  const { past, restoredSeq, elsewhere, sent, operator, reason } = command;
  const left = Object.keys(state.sent).filter((zone) => state.sent[zone] !== sent[zone]);
  if (left.length > 0) return refuse(context, 'PLAYERS_LEFT', `To ${left.join(', ')}. Try again.`);
  const { objects } = restored(state, past, elsewhere, context.now);
  context.emit({ type: 'ZoneRestored', objects, restoredSeq, operator, reason, at: context.now });
  // A moment may lie between the loss of the last health and the death: without that one nobody would revive them.
  for (const { id, health } of Object.values(objects.players))
    if (health.points === 0 && health.diedAt === 0) context.emit({ type: 'PlayerDied', player: id, at: context.now });
}

/** Monsters’ steps follow from the seed and the tick alone, whoever else is about. */
function wander(state: InitializedWorld, tick: number, context: WorldContext): void {
  const moves: [string, number, number][] = [];
  const seed = mix(state.plan.seed, seedOf(state.zone));
  let index = 0;
  for (const { id, position } of Object.values(state.monsters)) {
    if ((tick + index++) % MONSTER_EVERY_TICKS !== 0) continue;
    const random = new Random(mix(seed, Math.imul(tick, 1_024) + index));
    const [dx, dy] = MONSTER_STEPS[Math.floor(random.next() * MONSTER_STEPS.length)] ?? [0, 0];
    const to = { x: position.x + dx, y: position.y + dy };
    if (isInWorld(state.plan, to) && zoneAt(to) === state.zone && isFreeWay(state.plan, position, to)) moves.push([id, to.x, to.y]);
  }
  if (moves.length > 0) context.emit({ type: 'MonstersMoved', tick, moves });
}

/** Revives the dead, brings up items that are due, forgets who has slept longest when there are too many. */
function care(state: InitializedWorld, context: WorldContext): void {
  const { now } = context;
  for (const player of Object.values(state.players)) {
    if (player.health.diedAt === 0 || now < player.health.diedAt + DEAD_MS) continue;
    context.emit({
      type: 'PlayerRevived',
      player: player.id,
      ...freePlace(state.plan, state.zone, context.random),
      health: player.health.most,
      at: now,
    });
  }
  while ((state.respawns[0] ?? Number.POSITIVE_INFINITY) <= now)
    context.emit({ type: 'ItemSpawned', item: newItem(state.zone, state.plan, state.itemsEver, context) });
  const all = Object.values(state.players);
  if (all.length - state.awake <= ASLEEP_MAX) return;
  const asleep = all.filter(({ presence }) => presence.session === '');
  const longest = asleep.reduce((a, b) => (a.presence.since <= b.presence.since ? a : b));
  context.emit({ type: 'PlayerForgotten', player: longest.id });
}
