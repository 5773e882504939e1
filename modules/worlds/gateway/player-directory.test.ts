import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { HostPort } from '../messages.ts';
import { PlayerDirectory } from './player-directory.ts';

const ZONES = ['0-0', '1-0', '2-0'] as ZoneId[];
const [one, two, three] = ZONES as [ZoneId, ZoneId, ZoneId];
const kim = 'p-kim' as PlayerId;
const host: HostPort = { id: 'host-1', send: () => {} };

test('a newcomer goes to the open zone with the fewest players', () => {
  const directory = new PlayerDirectory(ZONES);
  assert.equal(directory.emptiest(), one, 'the first, as long as none is open');
  directory.placed(two, host);
  directory.placed(three, host);
  assert.equal(directory.emptiest(), two);
  directory.bound(null, two);
  assert.equal(directory.emptiest(), three);
  directory.bound(two, three);
  assert.equal(directory.emptiest(), two);
  directory.placed(two, null);
  assert.equal(directory.emptiest(), three);
});

test('a player in no zone counts as new only after every zone has reported its players', () => {
  const directory = new PlayerDirectory(ZONES);
  for (const zone of ZONES) directory.placed(zone, host);
  directory.counted(one, [], [kim]);
  directory.counted(two, [], []);
  assert.deepEqual(directory.uncounted(), [[three, host]]);
  assert.equal(directory.isWhole, false);
  directory.counted(three, [], []);
  assert.equal(directory.isWhole, true);
  assert.deepEqual(directory.locationOf(kim), 'unknown');
  directory.arrived(kim, two);
  assert.deepEqual([directory.locationOf(kim), directory.players], [{ zone: two, isNew: false }, 1]);
  // A late report of its departure from another zone changes nothing.
  directory.counted(one, [], [kim]);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: false });
  directory.lost(kim);
  assert.deepEqual([directory.locationOf(kim), directory.zoneOf(kim)], ['unknown', undefined]);
});

test('a newcomer is bound for one zone until that zone has reported whether it has it', () => {
  const directory = new PlayerDirectory(ZONES);
  assert.equal(directory.locationOf(kim), 'nowhere');
  directory.sent(kim, two);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: true });
  directory.created(kim, one);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: true }, 'an earlier report from another zone is ignored');
  directory.created(kim, two);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: false });
});

test('a player that its zone has deleted is new again; a newer location stays', () => {
  const directory = new PlayerDirectory(ZONES);
  directory.arrived(kim, two);
  directory.forgotten(kim, one);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: false });
  directory.forgotten(kim, two);
  assert.deepEqual([directory.locationOf(kim), directory.players], ['nowhere', 0]);
});
