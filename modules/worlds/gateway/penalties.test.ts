import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerId } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { Penalties } from './penalties.ts';

const kim = 'kim' as PlayerId;

test('a player that is disconnected for what it sent is banned, twice as long each time, five minutes at most', async () => {
  const clock = new ManualClock();
  const penalties = new Penalties(clock);
  const waits: number[] = [];
  for (let violation = 0; violation < 8; violation++) {
    penalties.recordDisconnect(kim, 'FLOOD');
    waits.push(penalties.remaining(kim));
    await clock.advance(penalties.remaining(kim));
    assert.equal(penalties.remaining(kim), 0);
  }
  assert.deepEqual(waits, [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
  await clock.advance(600_000);
  penalties.recordDisconnect(kim, 'TOO_MANY_INVALID_FRAMES');
  assert.equal(penalties.remaining(kim), 5_000);
});

test('a player that is disconnected for other reasons may return at once', () => {
  const penalties = new Penalties(new ManualClock());
  for (const code of ['SLOW_CONSUMER', 'HEARTBEAT_TIMEOUT', 'REPLACED', 'KICKED', 'SERVER_STOPPING'] as const)
    penalties.recordDisconnect(kim, code);
  assert.equal(penalties.remaining(kim), 0);
});
