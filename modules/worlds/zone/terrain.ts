import { mix, Random } from '@millrace/base/random';
import { isPathFree, type Place, TILE_SIZE, TILES_PER_SIDE, type WorldPlan, ZONE_SIZE, type ZoneId } from '@millrace/contracts';

/** Share of tiles with a rock. Few enough that every free tile can be reached. */
const ROCKS = 0.05;
const WALLS_PER_ZONE = 6;
const WALL_TILES_MIN = 6;
const WALL_TILES_MAX = 16;
/** Tiles along a zone’s border without rocks and walls, so that neighbours are open to each other. */
const OPEN_BORDER_TILES = 2;
/** Maps kept in memory, 4 kB each: more than the zones of one host and their neighbours. */
const MAPS_MAX = 4_096;

type Shape = Pick<WorldPlan, 'seed' | 'columns' | 'rows'>;

function zoneId(column: number, row: number): ZoneId {
  return `${column}-${row}`;
}

export function columnAndRow(zone: ZoneId): { column: number; row: number } {
  const [column = 0, row = 0] = zone.split('-').map(Number);
  return { column, row };
}

/** The zone a place lies in. */
export function zoneAt({ x, y }: Place): ZoneId {
  return zoneId(Math.floor(x / ZONE_SIZE), Math.floor(y / ZONE_SIZE));
}

export function allZones({ columns, rows }: Pick<Shape, 'columns' | 'rows'>): ZoneId[] {
  return Array.from({ length: columns * rows }, (_none, index) => zoneId(index % columns, Math.floor(index / columns)));
}

export function isInWorld({ columns, rows }: Shape, { x, y }: Place): boolean {
  return x >= 0 && y >= 0 && x < columns * ZONE_SIZE && y < rows * ZONE_SIZE;
}

const maps = new Map<string, Uint8Array>();

/** A zone’s tiles, row by row, 1 for blocked. Derived from the seed alone. */
export function tilesOf({ seed }: Pick<WorldPlan, 'seed'>, zone: ZoneId): Uint8Array {
  const key = `${seed} ${zone}`;
  const known = maps.get(key);
  if (known) return known;
  const { column, row } = columnAndRow(zone);
  const tiles = new Uint8Array(TILES_PER_SIDE * TILES_PER_SIDE);
  const random = new Random(mix(mix(seed, column + 1), row + 1));
  const inner = TILES_PER_SIDE - 2 * OPEN_BORDER_TILES;
  const place = () => OPEN_BORDER_TILES + Math.floor(random.next() * inner);
  for (let rock = 0; rock < ROCKS * inner * inner; rock++) tiles[place() * TILES_PER_SIDE + place()] = 1;
  for (let wall = 0; wall < WALLS_PER_ZONE; wall++) {
    const length = WALL_TILES_MIN + Math.floor(random.next() * (WALL_TILES_MAX - WALL_TILES_MIN + 1));
    const step = random.next() < 0.5 ? 1 : TILES_PER_SIDE;
    const along = Math.min(place(), TILES_PER_SIDE - OPEN_BORDER_TILES - length);
    const across = place();
    const start = step === 1 ? across * TILES_PER_SIDE + along : along * TILES_PER_SIDE + across;
    for (let tile = 0; tile < length; tile++) tiles[start + tile * step] = 1;
  }
  if (maps.size >= MAPS_MAX) maps.clear();
  maps.set(key, tiles);
  return tiles;
}

/** The tiles as bits, highest first: 512 bytes. */
export function packedTiles(shape: Pick<WorldPlan, 'seed'>, zone: ZoneId): Uint8Array {
  const tiles = tilesOf(shape, zone);
  const packed = new Uint8Array(tiles.length / 8);
  for (let index = 0; index < tiles.length; index++)
    if (tiles[index]) packed[index >> 3] = (packed[index >> 3] ?? 0) | (0x80 >> (index & 7));
  return packed;
}

/** Whether the tile at a place is blocked; outside the world everything is. */
export function isBlocked(shape: Shape, place: Place): boolean {
  if (!isInWorld(shape, place)) return true;
  const column = Math.floor((place.x % ZONE_SIZE) / TILE_SIZE);
  const row = Math.floor((place.y % ZONE_SIZE) / TILE_SIZE);
  return tilesOf(shape, zoneAt(place))[row * TILES_PER_SIDE + column] === 1;
}

/** Whether a straight walk touches no blocked tile. */
export function isFreeWay(shape: Shape, from: Place, to: Place): boolean {
  return isPathFree(from, to, (column, row) => !isBlocked(shape, { x: column * TILE_SIZE, y: row * TILE_SIZE }));
}

/** The middle of a free tile of a zone, chosen with the given numbers in [0, 1). */
export function freePlace(shape: Pick<WorldPlan, 'seed'>, zone: ZoneId, random: () => number): Place {
  const tiles = tilesOf(shape, zone);
  const { column, row } = columnAndRow(zone);
  let index = Math.floor(random() * tiles.length);
  // Most tiles are free, so the next free one is near.
  while (tiles[index] === 1) index = (index + 1) % tiles.length;
  return {
    x: column * ZONE_SIZE + (index % TILES_PER_SIDE) * TILE_SIZE + TILE_SIZE / 2,
    y: row * ZONE_SIZE + Math.floor(index / TILES_PER_SIDE) * TILE_SIZE + TILE_SIZE / 2,
  };
}
