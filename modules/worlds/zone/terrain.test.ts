import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Random } from '@millrace/base/random';
import { type Place, TILE_SIZE, TILES_PER_SIDE } from '@millrace/contracts';
import fc from 'fast-check';
import { allZones, freePlace, isBlocked, isFreeWay, packedTiles, tilesOf, zoneAt } from './terrain.ts';

const plan = { seed: 7, columns: 3, rows: 2 };
const place = fc.record({ x: fc.integer({ min: 0, max: 3 * 6_400 - 1 }), y: fc.integer({ min: 0, max: 2 * 6_400 - 1 }) });

/** Walks in steps of a centimetre: slow, and independent of how the line is traversed. */
function isFreeOnFoot(from: Place, to: Place): boolean {
  const steps = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y));
  for (let step = 0; step <= steps; step++) {
    const share = steps === 0 ? 0 : step / steps;
    if (isBlocked(plan, { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share })) return false;
  }
  return true;
}

describe('terrain', () => {
  test('the map is deterministic for a seed', () => {
    assert.deepEqual(tilesOf({ seed: 1 }, '0-0'), tilesOf({ seed: 1 }, '0-0'));
    assert.notDeepEqual(tilesOf({ seed: 1 }, '0-0'), tilesOf({ seed: 2 }, '0-0'));
    assert.notDeepEqual(tilesOf({ seed: 1 }, '0-0'), tilesOf({ seed: 1 }, '0-1'));
  });

  test('every free tile of a map can be reached from every other', () => {
    for (const zone of allZones({ columns: 4, rows: 4 })) {
      const tiles = tilesOf({ seed: 11 }, zone);
      const start = tiles.indexOf(0);
      const reached = new Set([start]);
      for (const index of reached)
        for (const next of [
          index - TILES_PER_SIDE,
          index + TILES_PER_SIDE,
          index % TILES_PER_SIDE ? index - 1 : -1,
          (index + 1) % TILES_PER_SIDE ? index + 1 : -1,
        ])
          if (tiles[next] === 0) reached.add(next);
      const free = tiles.reduce((count, tile) => count + (tile === 0 ? 1 : 0), 0);
      assert.ok(reached.size >= free * 0.98, `${zone}: ${reached.size} of ${free}`);
    }
  });

  test('the packed map has the same content as the tiles', () => {
    const tiles = tilesOf(plan, '1-1');
    const packed = packedTiles(plan, '1-1');
    assert.equal(packed.length, 512);
    for (const [index, tile] of tiles.entries()) assert.equal(((packed[index >> 3] ?? 0) >> (7 - (index & 7))) & 1, tile);
  });

  test('a path through a wall is not free, however it is divided', () => {
    fc.assert(
      fc.property(place, fc.integer({ min: -900, max: 900 }), fc.integer({ min: -900, max: 900 }), (from, dx, dy) => {
        const to = { x: from.x + dx, y: from.y + dy };
        // The exact walk may find a corner that steps of a centimetre miss, never the reverse.
        if (isFreeWay(plan, from, to)) assert.ok(isFreeOnFoot(from, to));
      }),
      { numRuns: 2_000 },
    );
  });

  test('most ways that are free on foot are free', () => {
    const random = new Random(3);
    let onFoot = 0;
    let free = 0;
    for (let count = 0; count < 2_000; count++) {
      const from = freePlace(plan, '1-0', () => random.next());
      const to = { x: from.x + Math.floor(random.next() * 600) - 300, y: from.y + Math.floor(random.next() * 600) - 300 };
      if (!isFreeOnFoot(from, to)) continue;
      onFoot++;
      if (isFreeWay(plan, from, to)) free++;
    }
    assert.ok(free > onFoot * 0.99, `${free} of ${onFoot}`);
  });

  test('a free place is free and in its zone', () => {
    fc.assert(
      fc.property(fc.constantFrom(...allZones(plan)), fc.integer(), (zone, seed) => {
        const random = new Random(seed);
        const found = freePlace(plan, zone, () => random.next());
        assert.equal(isBlocked(plan, found), false);
        assert.equal(zoneAt(found), zone);
        assert.equal(found.x % TILE_SIZE, TILE_SIZE / 2);
      }),
    );
  });
});
