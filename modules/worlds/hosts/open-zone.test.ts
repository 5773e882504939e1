import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { World } from '../zone/world-state.ts';
import { OpenZone } from './open-zone.ts';

const KIM = 'p-kim' as PlayerId;
const awake = { players: { [KIM]: { id: KIM, presence: { session: 'S' } } } } as unknown as World;
const empty = { players: {} } as unknown as World;

test('a player without a session is lost after 45 s, and gets the whole time again after it was away', () => {
  const zone = new OpenZone({ zone: '0-0' as ZoneId, audience: {} as never, handovers: {} as never, ticksUntilUpdate: 1 });
  assert.deepEqual(zone.lostSessions(awake, 0), []);
  assert.deepEqual(zone.lostSessions(awake, 45_000), []);
  assert.deepEqual(zone.lostSessions(awake, 45_001), [{ player: KIM, session: 'S' }]);
  assert.deepEqual(zone.lostSessions(empty, 46_000), []);
  assert.deepEqual(zone.lostSessions(awake, 120_000), []);
  assert.deepEqual(zone.lostSessions(awake, 165_001), [{ player: KIM, session: 'S' }]);
});
