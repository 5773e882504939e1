import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secretNumbers } from './zone-numbers.ts';

const draw = (secret: string, zone: string, epoch: number, count: number, opening = 1) => {
  const next = secretNumbers(secret)(zone, epoch, opening);
  return Array.from({ length: count }, next);
};

test('fault 5: the same secret, zone, epoch and opening give the same numbers; a change of any of them gives others', () => {
  const numbers = draw('s', 'world/0-0', 1, 1_000);
  assert.deepEqual(draw('s', 'world/0-0', 1, 1_000), numbers);
  const others = [
    draw('t', 'world/0-0', 1, 1_000),
    draw('s', 'world/0-1', 1, 1_000),
    draw('s', 'world/0-0', 2, 1_000),
    draw('s', 'world/0-0', 1, 1_000, 2),
  ];
  for (const other of others) assert.equal(other.filter((number) => numbers.includes(number)).length, 0);
});

test('the numbers are uniform over [0, 1) and do not repeat', () => {
  const numbers = draw('s', 'world/0-0', 1, 100_000);
  assert.ok(numbers.every((number) => number >= 0 && number < 1));
  assert.equal(new Set(numbers).size, numbers.length);
  const tenths = new Array(10).fill(0);
  for (const number of numbers) tenths[Math.floor(number * 10)]++;
  // Six standard deviations of the count in one tenth.
  assert.ok(
    tenths.every((count) => Math.abs(count - 10_000) < 570),
    String(tenths),
  );
});
