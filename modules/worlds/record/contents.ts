import type { PlayerId, ZoneId } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { Gateway } from '../gateway/gateway.ts';
import type { ZoneContents } from './inspect.ts';

type ZoneQuerier = Pick<Gateway, 'ask'>;

/**
 * The ids of all items in the other zones, or on the way between them. Queries every zone twice: an item that moves from a zone queried late to one
 * queried early is found in the second round.
 * @throws ApiProblem ZONE_UNAVAILABLE when a zone does not reply
 */
export async function itemsElsewhere(gateway: ZoneQuerier, zones: readonly ZoneId[], zone: ZoneId): Promise<Set<string>> {
  const found = new Set<string>();
  for (let round = 0; round < 2; round++)
    for (const [other, contents] of await contentsOfAll(
      gateway,
      zones.filter((other) => other !== zone),
    )) {
      if (!contents)
        throw new ApiProblem(
          'ZONE_UNAVAILABLE',
          `Zone ${other} cannot report its items now.`,
          'It is moving or its host is starting. Try again in a moment.',
        );
      for (const id of [...contents.items, ...contents.leaving.items]) found.add(id);
    }
  return found;
}

/** Players and items that are in more than one zone, and where. */
export interface Duplicate {
  readonly what: 'player' | 'item';
  readonly id: PlayerId | string;
  readonly zones: readonly ZoneId[];
}

/**
 * Checks whether a player or item is in two zones. A border crossing during the check can look like a duplicate, so a call returns only those that two
 * calls in a row have found.
 */
export class ConservationAudit {
  readonly #gateway: ZoneQuerier;
  readonly #zones: readonly ZoneId[];
  #suspected = new Map<string, Duplicate>();

  constructor(gateway: ZoneQuerier, zones: readonly ZoneId[]) {
    this.#gateway = gateway;
    this.#zones = zones;
  }

  /** @returns the duplicates; null when a zone did not reply, so that the result is unknown */
  async look(): Promise<Duplicate[] | null> {
    const replies = await contentsOfAll(this.#gateway, this.#zones);
    const places = new Map<string, { what: Duplicate['what']; id: string; zones: ZoneId[] }>();
    const put = (what: Duplicate['what'], id: string, zone: ZoneId) => {
      const key = `${what} ${id}`;
      const place = places.get(key) ?? { what, id, zones: [] };
      place.zones.push(zone);
      places.set(key, place);
    };
    for (const [zone, contents] of replies) {
      if (!contents) return null;
      // A player on the way is counted in the zone where it arrives; until then it is in no other.
      for (const id of contents.players) put('player', id, zone);
      for (const id of contents.items) put('item', id, zone);
    }
    const before = this.#suspected;
    this.#suspected = new Map([...places].filter(([, { zones }]) => zones.length > 1));
    return [...this.#suspected].filter(([key]) => before.has(key)).map(([, duplicate]) => duplicate);
  }
}

async function contentsOfAll(gateway: ZoneQuerier, zones: readonly ZoneId[]): Promise<[ZoneId, ZoneContents | null][]> {
  return Promise.all(
    zones.map(
      async (zone): Promise<[ZoneId, ZoneContents | null]> => [
        zone,
        (await gateway.ask({ about: 'contents', zone })) as ZoneContents | null,
      ],
    ),
  );
}
