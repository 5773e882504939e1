import type { PlayerId, ZoneId } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { Gateway } from './gateway.ts';
import type { ZoneContents } from './inspect.ts';

type Asked = Pick<Gateway, 'ask'>;

/**
 * Every item that a zone’s neighbours have, or that is on the way between them. They are asked twice: what moves from one that is asked late to one that
 * was asked early is seen the second time.
 * @throws ApiProblem when one of them does not answer
 */
export async function itemsElsewhere(gateway: Asked, zones: readonly ZoneId[], zone: ZoneId): Promise<Set<string>> {
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
 * Looks whether any player or item is in two zones. One that crosses a border while zones are asked may seem so; so each call gives only what it has found
 * twice in a row.
 */
export class ConservationAudit {
  readonly #gateway: Asked;
  readonly #zones: readonly ZoneId[];
  #suspected = new Map<string, Duplicate>();

  constructor(gateway: Asked, zones: readonly ZoneId[]) {
    this.#gateway = gateway;
    this.#zones = zones;
  }

  /** @returns null when a zone did not answer: then nothing is known */
  async look(): Promise<Duplicate[] | null> {
    const answers = await contentsOfAll(this.#gateway, this.#zones);
    const places = new Map<string, { what: Duplicate['what']; id: string; zones: ZoneId[] }>();
    const put = (what: Duplicate['what'], id: string, zone: ZoneId) => {
      const key = `${what} ${id}`;
      const place = places.get(key) ?? { what, id, zones: [] };
      place.zones.push(zone);
      places.set(key, place);
    };
    for (const [zone, contents] of answers) {
      if (!contents) return null;
      // Who is on the way counts where it comes to: until then it is nowhere else.
      for (const id of contents.players) put('player', id, zone);
      for (const id of contents.items) put('item', id, zone);
    }
    const before = this.#suspected;
    this.#suspected = new Map([...places].filter(([, { zones }]) => zones.length > 1));
    return [...this.#suspected].filter(([key]) => before.has(key)).map(([, duplicate]) => duplicate);
  }
}

async function contentsOfAll(gateway: Asked, zones: readonly ZoneId[]): Promise<[ZoneId, ZoneContents | null][]> {
  return Promise.all(
    zones.map(
      async (zone): Promise<[ZoneId, ZoneContents | null]> => [
        zone,
        (await gateway.ask({ about: 'contents', zone })) as ZoneContents | null,
      ],
    ),
  );
}
