import { type Place, TILE_SIZE, TILES_PER_SIDE, ZONE_SIZE, type ZoneId } from './world.ts';

/*
 * Rule for walking. The server uses it to decide moves, and clients use it to send only possible moves.
 */

/**
 * True if a straight walk touches only free tiles. Checks each tile on the line in order (Amanatides and Woo, “A Fast Voxel
 * Traversal Algorithm”). On a path through the corner between two tiles, both must be free.
 * @param isFree true if the tile at this column and row of the world is free
 */
export function isPathFree(from: Place, to: Place, isFree: (column: number, row: number) => boolean): boolean {
  const tileOf = (cm: number) => Math.floor(cm / TILE_SIZE);
  let column = tileOf(from.x);
  let row = tileOf(from.y);
  const lastColumn = tileOf(to.x);
  const lastRow = tileOf(to.y);
  const stepX = Math.sign(to.x - from.x);
  const stepY = Math.sign(to.y - from.y);
  const perX = stepX === 0 ? Number.POSITIVE_INFINITY : TILE_SIZE / Math.abs(to.x - from.x);
  const perY = stepY === 0 ? Number.POSITIVE_INFINITY : TILE_SIZE / Math.abs(to.y - from.y);
  const toEdge = (cm: number, step: number, per: number) =>
    step === 0 ? Number.POSITIVE_INFINITY : ((step > 0 ? TILE_SIZE - (cm % TILE_SIZE) : cm % TILE_SIZE) / TILE_SIZE) * per;
  let nextX = toEdge(from.x, stepX, perX);
  let nextY = toEdge(from.y, stepY, perY);
  for (;;) {
    if (!isFree(column, row)) return false;
    if (column === lastColumn && row === lastRow) return true;
    if (Math.min(nextX, nextY) > 1) return isFree(lastColumn, lastRow);
    if (nextX === nextY && !(isFree(column + stepX, row) && isFree(column, row + stepY))) return false;
    const crossesX = nextX <= nextY;
    const crossesY = nextY <= nextX;
    if (crossesX) {
      column += stepX;
      nextX += perX;
    }
    if (crossesY) {
      row += stepY;
      nextY += perY;
    }
  }
}

/** Map of a zone as clients get it. `blocked` has one bit per tile, row by row, highest bit first. */
export interface ZoneGround {
  readonly zone: ZoneId;
  readonly blocked: Uint8Array;
}

/** True if the map of one zone allows a straight walk. Tiles outside the zone count as free; only the server knows them. */
export function mayWalk({ zone, blocked }: ZoneGround, from: Place, to: Place): boolean {
  const [left = 0, top = 0] = zone.split('-').map((index) => (Number(index) * ZONE_SIZE) / TILE_SIZE);
  return isPathFree(from, to, (column, row) => {
    const [x, y] = [column - left, row - top];
    if (x < 0 || y < 0 || x >= TILES_PER_SIDE || y >= TILES_PER_SIDE) return true;
    const tile = y * TILES_PER_SIDE + x;
    return ((blocked[tile >> 3] ?? 0) & (0x80 >> (tile & 7))) === 0;
  });
}
