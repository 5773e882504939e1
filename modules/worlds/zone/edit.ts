import { type Bag, EDITABLE, type EditableComponent, type Place, type Player, type PlayerHealth } from '@millrace/contracts';
import { Value } from 'typebox/value';
import { isBlocked, isInWorld, zoneAt } from './terrain.ts';
import type { InitializedWorld } from './world-state.ts';

/** Placeholder id of an item that an operator adds to a bag. The zone replaces it with a new id. */
const NEW_ITEM = '';
const ID_SPACE = 2 ** 48;

/**
 * Checks and completes an operator’s edit, so that the rules of play hold: an item is in one place, a bag does not overflow, and a player with health is alive.
 * @param random the zone’s next random number, for the ids of new items
 * @returns the fields to set, or the error in the edit
 */
export function editedFields(
  state: Readonly<InitializedWorld>,
  player: Readonly<Player>,
  component: EditableComponent,
  fields: Readonly<Record<string, unknown>>,
  random: () => number,
): Record<string, unknown> | string {
  const schema = Object.hasOwn(EDITABLE, component) ? EDITABLE[component] : undefined;
  if (!schema) return `Unknown component "${component}". Use one of: ${Object.keys(EDITABLE).join(', ')}.`;
  const known = Object.keys(schema.properties);
  const unknown = Object.keys(fields).find((field) => !known.includes(field));
  if (unknown !== undefined) return `"${component}" has ${known.join(', ')}, not "${unknown}".`;
  const edited: unknown = { ...player[component], ...fields };
  const [mistake] = Value.Errors(schema, edited);
  if (mistake) return `${component}${mistake.instancePath} ${mistake.message}.`;
  switch (component) {
    case 'position': {
      const place = edited as Place;
      const isFree = isInWorld(state.plan, place) && zoneAt(place) === state.zone && !isBlocked(state.plan, place);
      return isFree ? { ...fields } : `(${place.x}, ${place.y}) is no free place of zone ${state.zone}.`;
    }
    case 'health':
      return editedHealth(edited as PlayerHealth, fields);
    case 'bag':
      return editedBag(state.zone, player.bag, edited as Bag, fields, random);
    default:
      return { ...fields };
  }
}

function editedHealth({ points, most, diedAt }: PlayerHealth, fields: Readonly<Record<string, unknown>>): Record<string, unknown> | string {
  if (points > most) return `${points} points are more than ${most}, the most it can have.`;
  if (points === 0 || diedAt === 0) return { ...fields };
  if ('diedAt' in fields) return `It died at ${diedAt} or has ${points} points, not both; leave diedAt out.`;
  return { ...fields, diedAt: 0 };
}

function editedBag(
  zone: string,
  before: Bag,
  { items, most }: Bag,
  fields: Readonly<Record<string, unknown>>,
  random: () => number,
): Record<string, unknown> | string {
  if (items.length > most) return `${items.length} items are more than ${most}, the most the bag holds.`;
  const kinds = new Map(before.items.map(({ id, item }) => [id, item]));
  const listed = new Set<string>();
  for (const { id, item } of items) {
    if (id === NEW_ITEM) continue;
    if (listed.has(id)) return `Item "${id}" is named twice.`;
    listed.add(id);
    if (kinds.get(id) !== item)
      return `The bag has no ${item} "${id}": whatever has that id is elsewhere. For a new item leave the id empty ("").`;
  }
  if (!('items' in fields)) return { ...fields };
  const idOfNew = () => `${zone}:e${Math.floor(random() * ID_SPACE).toString(36)}`;
  return { ...fields, items: items.map(({ id, item }) => ({ id: id === NEW_ITEM ? idOfNew() : id, item })) };
}
