import { test } from 'node:test';
import type { AccountSnapshot } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import { type AccountCommand, accountZone } from './zone.ts';

const create: AccountCommand = { type: 'CreateAccount', user: 'kim', tenant: 'main' };
const snapshot = (request: string): AccountSnapshot => ({
  request,
  generatedAt: 1,
  profile: { name: 'Kim', email: 'kim@example.com', tenant: 'main', role: 'viewer' },
  limits: { requestsPerSecond: 10, burst: 40, streams: 10, keys: 5 },
  watchlist: [],
});
const created = [
  { type: 'AccountCreated', user: 'kim', tenant: 'main', at: 1_000 },
  { type: 'AccountSnapshotRequested', request: 'first', at: 1_000 },
] as const;

test('an account is created once, and asks for its first snapshot', () => {
  given(accountZone)
    .at(1_000)
    .when(create)
    .emits(...created);
  given(accountZone, ...created)
    .when(create)
    .emits();
});

test('one snapshot at a time, unless the one under way was given up', () => {
  const request: AccountCommand = { type: 'RequestSnapshot', request: 'second' };
  given(accountZone).when(request).refused('NO_ACCOUNT');
  given(accountZone, ...created)
    .at(2_000)
    .when(request)
    .refused('UNDER_WAY');
  given(accountZone, ...created)
    .at(61_000)
    .when(request)
    .emits({ type: 'AccountSnapshotRequested', request: 'second', at: 61_000 });
});

test('what comes of a request that is not under way any more changes nothing', () => {
  for (const late of [
    { type: 'NoteProgress', progress: { request: 'older', step: 'x', done: 1, of: 3 } },
    { type: 'RecordSnapshot', snapshot: snapshot('older') },
    { type: 'FailSnapshot', request: 'older', reason: 'x' },
  ] as const)
    given(accountZone, ...created)
      .when(late)
      .emits();
});

test('steps are told once, in order, and then the snapshot', () => {
  const progress = { request: 'first', step: 'profile', done: 1, of: 3 };
  const progressed = { type: 'AccountSnapshotProgressed', progress } as const;
  given(accountZone, ...created)
    .when({ type: 'NoteProgress', progress })
    .emits(progressed);
  given(accountZone, ...created, progressed)
    .when({ type: 'NoteProgress', progress })
    .emits();
  given(accountZone, ...created, progressed)
    .when({ type: 'RecordSnapshot', snapshot: snapshot('first') })
    .emits({ type: 'AccountSnapshotGenerated', snapshot: snapshot('first') });
});
