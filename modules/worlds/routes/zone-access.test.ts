import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerId, WorldCommand } from '@millrace/contracts';
import type { Gateway } from '../gateway/gateway.ts';
import { type Sender, ZoneAccess } from './zone-access.ts';

test('a command that its zone refused is marked on the request, for the audit log', async () => {
  const outcomes = [
    { ok: true, seq: 1 },
    { ok: false, code: 'UNKNOWN_PLAYER', message: 'Not here.' },
  ];
  const gateway = { command: async () => outcomes.shift() } as unknown as Gateway;
  const access = new ZoneAccess(gateway, { seed: 1, columns: 1, rows: 1, monsters: 0, items: 0 }, {} as never);
  const kick: WorldCommand = { type: 'KickPlayer', player: 'ann' as PlayerId, operator: 'kim', reason: 'a test' };
  const sender = () => ({ principal: { tenant: 'main', user: 'kim' }, raw: { id: 'trace' } }) as unknown as Sender;
  const [accepted, refused] = [sender(), sender()];
  await access.decide('0-0', kick, accepted);
  assert.equal((await access.decide('0-0', kick, refused)).ok, false);
  assert.deepEqual([accepted.raw.refused, refused.raw.refused], [undefined, 'UNKNOWN_PLAYER']);
});
