import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { HostPort } from './messages.ts';
import { PlayerDirectory } from './player-directory.ts';

const ZONES = ['0-0', '1-0', '2-0'] as ZoneId[];
const [one, two, three] = ZONES as [ZoneId, ZoneId, ZoneId];
const kim = 'p-kim' as PlayerId;
const host: HostPort = { id: 'host-1', send: () => {} };

test('a newcomer goes where most room is, among the zones that are open', () => {
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

test('who is in no zone is known to be new only when every zone has said whom it has', () => {
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
  // What another zone says late of its departure changes nothing any more.
  directory.counted(one, [], [kim]);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: false });
  directory.lost(kim);
  assert.deepEqual([directory.locationOf(kim), directory.zoneOf(kim)], ['unknown', undefined]);
});

test('a newcomer is bound for one zone until that one has said whether it has it', () => {
  const directory = new PlayerDirectory(ZONES);
  assert.equal(directory.locationOf(kim), 'nowhere');
  directory.sent(kim, two);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: true });
  directory.created(kim, one);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: true }, 'what another zone says of an earlier time is not heard');
  directory.created(kim, two);
  assert.deepEqual(directory.locationOf(kim), { zone: two, isNew: false });
});
