import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { HostPort } from './messages.ts';
import { Whereabouts } from './whereabouts.ts';

const ZONES = ['0-0', '1-0', '2-0'] as ZoneId[];
const [one, two, three] = ZONES as [ZoneId, ZoneId, ZoneId];
const kim = 'p-kim' as PlayerId;
const host: HostPort = { id: 'host-1', send: () => {} };

test('a newcomer goes where most room is, among the zones that are open', () => {
  const whereabouts = new Whereabouts(ZONES);
  assert.equal(whereabouts.emptiest(), one, 'the first, as long as none is open');
  whereabouts.placed(two, host);
  whereabouts.placed(three, host);
  assert.equal(whereabouts.emptiest(), two);
  whereabouts.bound(null, two);
  assert.equal(whereabouts.emptiest(), three);
  whereabouts.bound(two, three);
  assert.equal(whereabouts.emptiest(), two);
  whereabouts.placed(two, null);
  assert.equal(whereabouts.emptiest(), three);
});

test('who is in no zone is known to be new only when every zone has said whom it has', () => {
  const whereabouts = new Whereabouts(ZONES);
  for (const zone of ZONES) whereabouts.placed(zone, host);
  whereabouts.counted(one, [], [kim]);
  whereabouts.counted(two, [], []);
  assert.deepEqual(whereabouts.uncounted(), [[three, host]]);
  assert.equal(whereabouts.isWhole, false);
  whereabouts.counted(three, [], []);
  assert.equal(whereabouts.isWhole, true);
  assert.deepEqual([whereabouts.zoneOf(kim), whereabouts.isBetween(kim)], [undefined, true]);
  whereabouts.arrived(kim, two);
  assert.deepEqual([whereabouts.zoneOf(kim), whereabouts.isBetween(kim), whereabouts.players], [two, false, 1]);
  // What another zone says late of its departure changes nothing any more.
  whereabouts.counted(one, [], [kim]);
  assert.equal(whereabouts.isBetween(kim), false);
  whereabouts.lost(kim);
  assert.equal(whereabouts.zoneOf(kim), undefined);
});
