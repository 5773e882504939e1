import type { Player, PlayerId, Presence, WorldEvent } from '@millrace/contracts';
import { withAccepted } from './accepted.ts';
import type { World } from './world-state.ts';

const USE_COOLDOWN_MS = 1_000;
const SAY_COOLDOWN_MS = 500;
/** How long a request to create a player can be in transit: longer than a host without replies keeps its zones. */
const NEWCOMER_MS = 60_000;

type EventOf<Type extends WorldEvent['type']> = Extract<WorldEvent, { type: Type }>;

/** Applies an event to the state of a zone. Throws when the state cannot have led to the event. */
export function evolveWorld(state: World, event: WorldEvent): void {
  switch (event.type) {
    case 'ZoneCreated':
      return zoneCreated(state, event);
    case 'ZoneResized':
      return zoneResized(state, event);
    case 'ZoneRestored':
      return zoneRestored(state, event);
    case 'PlayerJoined':
      return playerJoined(state, event);
    case 'PlayerWoke':
      return playerWoke(state, event);
    case 'PlayerFellAsleep':
    case 'PlayerKicked':
      return sessionEnded(state, event);
    case 'PlayerForgotten':
      delete state.players[event.player];
      delete state.newcomers[event.player];
      return;
    case 'PlayerMoved':
      return playerMoved(state, event);
    case 'ItemPickedUp':
      return itemPickedUp(state, event);
    case 'ItemUsed':
      return itemUsed(state, event);
    case 'ItemSpawned':
      return itemSpawned(state, event);
    case 'PlayerSaid':
      return playerSaid(state, event);
    case 'PlayerDied':
      return playerDied(state, event);
    case 'PlayerRevived':
      return playerRevived(state, event);
    case 'MonstersMoved':
      return monstersMoved(state, event);
    case 'PlayerDeparted':
      return playerDeparted(state, event);
    case 'PlayerArrived':
      return playerArrived(state, event);
    case 'PlayerRecalled':
      return playerRecalled(state, event);
    case 'HandoverConfirmed':
      delete state.departures[event.player];
      return;
    case 'ViolationsCounted':
      return violationsCounted(state, event);
    case 'PlayerEdited':
      Object.assign(playerOf(state, event.player)[event.component], structuredClone(event.fields));
      return;
    case 'Announced':
      return;
  }
}

/** The player that an event names. `decide` made sure that it is in the zone. */
function playerOf(state: World, id: PlayerId): Player {
  const player = state.players[id];
  if (!player) throw new Error(`the record of zone ${state.zone} speaks of player ${id}, who is not there`);
  return player;
}

// The zone

function zoneCreated(state: World, { plan, monsters, items }: EventOf<'ZoneCreated'>): void {
  state.plan = plan;
  for (const monster of monsters) state.monsters[monster.id] = structuredClone(monster);
  for (const item of items) state.items[item.id] = item;
  state.itemsEver = items.length;
}

function zoneResized(state: World, { columns, rows }: EventOf<'ZoneResized'>): void {
  if (state.plan === null) throw new Error(`the record of zone ${state.zone} resizes its world before the zone was created`);
  state.plan = { ...state.plan, columns, rows };
}

function zoneRestored(state: World, event: EventOf<'ZoneRestored'>): void {
  const { players, monsters, items, respawns } = structuredClone(event.objects);
  Object.assign(state, { players, monsters, items, respawns: [...respawns] });
}

function monstersMoved(state: World, { moves }: EventOf<'MonstersMoved'>): void {
  for (const [id, x, y] of moves) {
    const monster = state.monsters[id];
    if (monster) monster.position = { x, y };
  }
}

// Sessions

function playerJoined(state: World, { player }: EventOf<'PlayerJoined'>): void {
  state.players[player.id] = structuredClone(player);
  state.awake++;
  rememberNewcomer(state.newcomers, player);
}

function rememberNewcomer(newcomers: World['newcomers'], { id, presence }: Player): void {
  for (const [other, at] of Object.entries(newcomers)) {
    if (at >= presence.since - NEWCOMER_MS) break;
    delete newcomers[other as PlayerId];
  }
  newcomers[id] = presence.since;
}

function playerWoke(state: World, { player: id, name, session, at }: EventOf<'PlayerWoke'>): void {
  const player = playerOf(state, id);
  if (player.presence.session === '') state.awake++;
  player.name = name;
  player.presence = { ...acceptedOf(player.presence, session), session, since: at };
}

function sessionEnded(state: World, { player: id, at }: EventOf<'PlayerFellAsleep' | 'PlayerKicked'>): void {
  const player = playerOf(state, id);
  const { session } = player.presence;
  player.presence = { ...acceptedOf(player.presence, session), session: '', last: session, since: at };
  state.awake--;
}

/** Numbers of a session’s accepted commands; none unless it is the current or last session of the player. */
function acceptedOf({ session: playing, last, n, before }: Presence, session: string): Pick<Presence, 'n' | 'before'> {
  if (session !== (playing === '' ? last : playing)) return { n: 0 };
  return before === undefined ? { n } : { n, before };
}

function violationsCounted(state: World, { player, counts }: EventOf<'ViolationsCounted'>): void {
  const { violations } = playerOf(state, player);
  for (const [code, count] of Object.entries(counts)) {
    violations.byCode[code] = (violations.byCode[code] ?? 0) + count;
    violations.total += count;
  }
}

// What players do

function playerMoved(state: World, event: EventOf<'PlayerMoved'>): void {
  const player = playerOf(state, event.player);
  player.position.x = event.x;
  player.position.y = event.y;
  player.motion.allowance = event.allowance;
  player.motion.at = event.at;
  Object.assign(player.presence, withAccepted(player.presence, event.n));
}

function itemPickedUp(state: World, event: EventOf<'ItemPickedUp'>): void {
  const { bag, presence } = playerOf(state, event.player);
  delete state.items[event.item];
  bag.items.push({ id: event.item, item: event.kind });
  Object.assign(presence, withAccepted(presence, event.n));
  state.respawns.push(event.respawnAt);
}

function itemUsed(state: World, event: EventOf<'ItemUsed'>): void {
  const { bag, presence, cooldown, health, motion } = playerOf(state, event.player);
  bag.items = bag.items.filter(({ id }) => id !== event.item);
  Object.assign(presence, withAccepted(presence, event.n));
  cooldown.useAt = event.at + USE_COOLDOWN_MS;
  health.points = event.health;
  if (event.kind === 'mushroom') health.stunnedUntil = event.until;
  if (event.kind === 'boots') motion.boostedUntil = event.until;
}

function itemSpawned(state: World, { item }: EventOf<'ItemSpawned'>): void {
  state.items[item.id] = item;
  state.itemsEver++;
  state.respawns.shift();
}

function playerSaid(state: World, event: EventOf<'PlayerSaid'>): void {
  const { cooldown, presence } = playerOf(state, event.player);
  cooldown.sayAt = event.at + SAY_COOLDOWN_MS;
  Object.assign(presence, withAccepted(presence, event.n));
}

function playerDied(state: World, event: EventOf<'PlayerDied'>): void {
  const { health } = playerOf(state, event.player);
  health.points = 0;
  health.diedAt = event.at;
}

function playerRevived(state: World, event: EventOf<'PlayerRevived'>): void {
  const { health, position, motion } = playerOf(state, event.player);
  health.points = event.health;
  health.diedAt = 0;
  position.x = event.x;
  position.y = event.y;
  motion.at = event.at;
  motion.allowance = 0;
}

// From zone to zone

function playerDeparted(state: World, { handover }: EventOf<'PlayerDeparted'>): void {
  const { player, to, number } = handover;
  delete state.players[player.id];
  state.awake--;
  state.departures[player.id] = handover;
  state.sent[to] = number;
}

function playerArrived(state: World, { handover: { player, from, number, floor } }: EventOf<'PlayerArrived'>): void {
  state.players[player.id] = structuredClone(player);
  state.awake++;
  // A player that returns did arrive in the other zone, even if that was not confirmed.
  delete state.departures[player.id];
  const before = state.received[from] ?? { floor: 1, above: [] };
  const least = Math.max(before.floor, floor);
  state.received[from] = { floor: least, above: [...before.above.filter((known) => known >= least), number] };
}

function playerRecalled(state: World, event: EventOf<'PlayerRecalled'>): void {
  const departed = state.departures[event.player];
  if (!departed) throw new Error(`the record of zone ${state.zone} recalls ${event.player}, who has not departed`);
  delete state.departures[event.player];
  state.players[event.player] = { ...structuredClone(departed.player), position: { ...departed.origin } };
  state.awake++;
}
