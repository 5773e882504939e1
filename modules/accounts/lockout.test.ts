import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import { Lockout } from './lockout.ts';

test('five failures are free, then each doubles the wait, a quarter of an hour at most', async () => {
  const clock = new ManualClock();
  const lockout = new Lockout(clock);
  const waits: number[] = [];
  for (let failure = 0; failure < 14; failure++) {
    lockout.failed('kim', '10.0.0.1');
    waits.push(lockout.waitMs('kim', '10.0.0.1'));
    await clock.advance(waits.at(-1) ?? 0);
    assert.equal(lockout.waitMs('kim', '10.0.0.1'), 0);
  }
  assert.deepEqual(waits.slice(0, 7), [0, 0, 0, 0, 15_000, 30_000, 60_000]);
  assert.ok(waits.every((wait) => wait <= 900_000) && waits.at(-1) === 900_000);
});

test('an address that guesses keeps only itself out, until very many have guessed', () => {
  const lockout = new Lockout(new ManualClock());
  for (let failure = 0; failure < 40; failure++) lockout.failed('kim', '10.0.0.1');
  assert.ok(lockout.waitMs('kim', '10.0.0.1') > 0);
  assert.equal(lockout.waitMs('kim', '10.0.0.2'), 0);
  for (let failure = 0; failure < 60; failure++) lockout.failed('kim', `10.0.1.${failure}`);
  assert.ok(lockout.waitMs('kim', '10.0.0.2') > 0);
});

test('an address that tries one account after another waits too', () => {
  const lockout = new Lockout(new ManualClock());
  for (let failure = 0; failure < 50; failure++) lockout.failed(`user ${failure}`, '10.0.0.1');
  assert.ok(lockout.waitMs('user 999', '10.0.0.1') > 0);
  assert.equal(lockout.waitMs('user 999', '10.0.0.2'), 0);
});

test('who comes in begins anew; and an hour without failures is enough', async () => {
  const clock = new ManualClock();
  const lockout = new Lockout(clock);
  for (let failure = 0; failure < 4; failure++) lockout.failed('kim', '10.0.0.1');
  lockout.succeeded('kim', '10.0.0.1');
  for (let failure = 0; failure < 4; failure++) lockout.failed('kim', '10.0.0.1');
  assert.equal(lockout.waitMs('kim', '10.0.0.1'), 0);
  await clock.advance(3_600_000);
  lockout.failed('kim', '10.0.0.1');
  assert.equal(lockout.waitMs('kim', '10.0.0.1'), 0);
});
