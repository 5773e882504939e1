import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Principal, TIERS } from '@millrace/contracts';
import { OpenStreams } from './open-streams.ts';
import { GUEST } from './testing/guest.ts';

const kim: Principal = { ...GUEST, kind: 'token', user: 'kim', name: 'Kim', credential: 'token-1' };

test('streams that authenticate after they have begun are limited by the tier of their user', () => {
  const streams = new OpenStreams(1_000, () => 0);
  const most = TIERS.free.streams;
  // Each from another address, so that the limit per address does not apply.
  const registrations = Array.from({ length: most + 1 }, (_none, index) => streams.begin(GUEST, `10.0.0.${index}`, 'websocket', () => {}));
  for (const registration of registrations.slice(0, most)) registration.setPrincipal(kim);
  const last = registrations.at(-1);
  assert.throws(() => last?.setPrincipal(kim), { code: 'TOO_MANY_CONNECTIONS', message: /Kim has 10 streams open/ });
  assert.equal(streams.countOf(kim, ''), most);
  assert.equal(streams.countOf(GUEST, `10.0.0.${most}`), 1);
  // A newer token of the same user changes no count.
  registrations[0]?.setPrincipal({ ...kim, credential: 'token-2' });
  registrations[1]?.close();
  last?.setPrincipal(kim);
  for (const registration of registrations) registration.close();
  assert.deepEqual([streams.size, streams.countOf(kim, ''), streams.countOf(GUEST, `10.0.0.${most}`)], [0, 0, 0]);
});
