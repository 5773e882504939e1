import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlayerId } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { CommandReplies } from './command-replies.ts';
import type { Connection } from './connection.ts';
import { Session } from './session.ts';

test('failed commands are counted, by zone and by gateway, unless the player caused the failure', () => {
  const replies = new CommandReplies(new ManualClock());
  const connection = { refuse: () => {}, sendBytes: () => {} } as unknown as Connection;
  const session = new Session({ handle: 1, id: 's', resume: 'r', player: 'p' as PlayerId, name: 'Kim', user: null, now: 0 });
  session.connection = connection;
  replies.record(1, null);
  replies.record(1, 'BLOCKED');
  replies.record(1, 'ZONE_MOVING');
  replies.refuseMoving(connection, 2);
  replies.record(1, 'BUSY');
  for (const n of [4, 5]) session.addPending(n, 0);
  replies.settleEntered(session, [4]);
  assert.deepEqual(replies.takeFailures(), { answered: 6, failed: 4 });
  // A player that leaves gives up its later commands itself.
  session.addPending(6, 0, { isCounted: false });
  session.addPending(7, 0);
  replies.settleLeft(session, null);
  assert.deepEqual(replies.takeFailures(), { answered: 0, failed: 0 });
  assert.deepEqual(replies.refusals.toObject(), { BLOCKED: 1, ZONE_MOVING: 2, BUSY: 1, LOST: 2 });
});

test('commands that fail through a fault of the player are not counted', () => {
  const replies = new CommandReplies(new ManualClock());
  const connection = { refuse: () => {}, sendBytes: () => {} } as unknown as Connection;
  const session = new Session({ handle: 1, id: 's', resume: 'r', player: 'p' as PlayerId, name: 'Kim', user: null, now: 0 });
  session.become('playing', 0);
  replies.refuseEarly(connection, 1, 'BUSY');
  replies.refuseEarly(connection, 2, 'ZONE_MOVING');
  session.addPending(3, 0);
  // Command 3 has arrived; the client has invented 4 and 5, of which 5 is sent later.
  session.repliesFor([3, 4, 5], 0);
  session.addPending(5, 0);
  replies.settleEntered(session, []);
  assert.deepEqual(replies.takeFailures(), { answered: 2, failed: 2 });
  assert.deepEqual(replies.refusals.toObject(), { BUSY: 1, ZONE_MOVING: 1, LOST: 3 });
});
