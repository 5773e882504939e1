import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mix, Random, seedOf } from './random.ts';

test('the functions equal the published Mulberry32, MurmurHash3 finalizer and FNV-1a', () => {
  // Independent reference: mulberry32 and fmix32 in their published form, and known FNV-1a hashes.
  const random = new Random(7);
  const mulberry = (seed: number) => () => {
    seed += 0x6d2b79f5;
    let t = seed;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const reference = mulberry(7);
  for (let count = 0; count < 50; count++) assert.equal(random.next(), reference());
  const fmix32 = (h: number) => {
    h ^= h >>> 16;
    h = Math.imul(h, 0x85ebca6b);
    h ^= h >>> 13;
    h = Math.imul(h, 0xc2b2ae35);
    return (h ^ (h >>> 16)) >>> 0;
  };
  for (const [seed, counter] of [
    [1, 2],
    [77, 3],
  ] as const)
    assert.equal(mix(seed, counter), fmix32(seed ^ Math.imul(counter, 0x9e3779b1)));
  assert.equal(seedOf('a'), 0xe40c292c);
  assert.equal(seedOf('foobar'), 0xbf9cf968);
});
