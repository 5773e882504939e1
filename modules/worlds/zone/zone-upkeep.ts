import { mix, Random, seedOf } from '@millrace/base/random';
import { type GroundItem, ITEM_KINDS, type ItemKind, type WorldPlan, type ZoneId } from '@millrace/contracts';
import { isAhead } from './clock-set-back.ts';
import { freePlace, isFreeWay, isInWorld, zoneAt } from './terrain.ts';
import { type InitializedWorld, needsPlan, type World } from './world-state.ts';
import { refuse, type WorldContext } from './zone-context.ts';

/** Time from a player’s death to its revival, ms. */
export const DEAD_MS = 5_000;
/** Time until an item that was taken from the ground respawns, ms. */
export const RESPAWN_MS = 30_000;
/** Ticks between two steps of a monster. Not all step in the same tick. */
const MONSTER_EVERY_TICKS = 10;
/** Possible steps, cm: about 1.2 m in one of eight directions. */
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
/** Sleeping players that a zone keeps; beyond it those that have slept longest are forgotten. */
export const ASLEEP_MAX = 5_000;
/** Sleepers forgotten at once: 200 per second, more than players can fall asleep in a zone for long. */
const FORGOTTEN_AT_ONCE_MAX = 100;
/** Dead players, due items and sleepers are checked this often. */
const UPKEEP_EVERY_TICKS = 10;

/** Creates the monsters and items of a new zone; an earlier one gets the size of the world. */
export function createZone(state: World, plan: WorldPlan, context: WorldContext): void {
  if (!needsPlan(state, plan))
    return refuse(context, 'ALREADY_INITIALIZED', `Zone ${state.zone} keeps the map of seed ${state.plan?.seed}.`);
  if (state.plan !== null) return context.emit({ type: 'ZoneResized', columns: plan.columns, rows: plan.rows });
  const monsters = Array.from({ length: plan.monsters }, (_none, index) => ({
    id: `m${index + 1}`,
    position: freePlace(plan, state.zone, context.random),
  }));
  const items = Array.from({ length: plan.items }, (_none, index) => newItem(state.zone, plan, index, context));
  context.emit({ type: 'ZoneCreated', plan, monsters, items });
}

/** Tick of a zone: monsters walk; at intervals players revive and items respawn. */
export function runTick(state: InitializedWorld, tick: number, context: WorldContext): void {
  moveMonsters(state, tick, context);
  if (tick % UPKEEP_EVERY_TICKS !== 0) return;
  reviveDead(state, context);
  spawnDueItems(state, context);
  forgetLongestAsleep(state, context);
}

/** Monsters’ steps follow from the seed and the tick alone, whatever players do. */
function moveMonsters(state: InitializedWorld, tick: number, context: WorldContext): void {
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

function reviveDead(state: InitializedWorld, context: WorldContext): void {
  const { now } = context;
  for (const player of Object.values(state.players)) {
    const { diedAt } = player.health;
    if (diedAt === 0 || (now < diedAt + DEAD_MS && !isAhead(diedAt, now))) continue;
    context.emit({
      type: 'PlayerRevived',
      player: player.id,
      ...freePlace(state.plan, state.zone, context.random),
      health: player.health.most,
      at: now,
    });
  }
}

function spawnDueItems(state: InitializedWorld, context: WorldContext): void {
  const { now } = context;
  const isDue = (at: number | undefined) => at !== undefined && (at <= now || isAhead(at, now + RESPAWN_MS));
  while (isDue(state.respawns[0])) context.emit({ type: 'ItemSpawned', item: newItem(state.zone, state.plan, state.itemsEver, context) });
}

/** Forgets the sleeping players above the maximum, those first that have slept longest. */
function forgetLongestAsleep(state: InitializedWorld, context: WorldContext): void {
  const all = Object.values(state.players);
  const surplus = all.length - state.awake - ASLEEP_MAX;
  if (surplus <= 0) return;
  const asleep = all.filter(({ presence }) => presence.session === '').sort((one, other) => one.presence.since - other.presence.since);
  for (const { id } of asleep.slice(0, Math.min(surplus, FORGOTTEN_AT_ONCE_MAX))) context.emit({ type: 'PlayerForgotten', player: id });
}

function newItem(zone: ZoneId, plan: WorldPlan, number: number, context: WorldContext): GroundItem {
  const kinds = Object.keys(ITEM_KINDS) as ItemKind[];
  const item = kinds[Math.floor(context.random() * kinds.length)] ?? 'apple';
  return { id: `${zone}:i${number + 1}`, item, position: freePlace(plan, zone, context.random) };
}
