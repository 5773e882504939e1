import { test } from 'node:test';
import type { AccountSnapshot } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import { type AccountCommand, accountZone } from './zone.ts';

const create: AccountCommand = { type: 'CreateAccount', user: 'kim', tenant: 'main', createdAt: 500 };
const snapshot = (request: string, revision = 1): AccountSnapshot => ({
  request,
  revision,
  generatedAt: 1,
  profile: { name: 'Kim', email: 'kim@example.com', tenant: 'main', role: 'viewer' },
  limits: { requestsPerSecond: 10, burst: 40, streams: 10, keys: 5 },
  watchlist: [],
});
const created = [
  { type: 'AccountCreated', user: 'kim', tenant: 'main', at: 500 },
  { type: 'AccountSnapshotRequested', request: 'first', at: 1_000 },
] as const;

test('an account is created once and requests its first snapshot', () => {
  given(accountZone)
    .at(1_000)
    .when(create)
    .emits(...created);
  given(accountZone, ...created)
    .when(create)
    .emits();
});

test('one snapshot at a time, unless the pending one has timed out', () => {
  const request: AccountCommand = { type: 'RequestSnapshot', request: 'second' };
  given(accountZone).when(request).refused('ACCOUNT_NOT_FOUND');
  given(accountZone, ...created)
    .at(2_000)
    .when(request)
    .refused('IN_PROGRESS');
  given(accountZone, ...created)
    .at(61_000)
    .when(request)
    .emits({ type: 'AccountSnapshotRequested', request: 'second', at: 61_000 });
});

test('results of a request that is no longer pending change nothing', () => {
  for (const late of [
    { type: 'NoteProgress', progress: { request: 'older', step: 'x', done: 1, of: 3 } },
    { type: 'RecordSnapshot', request: 'older', snapshot: snapshot('older', 0) },
    { type: 'FailSnapshot', request: 'older', reason: 'x' },
  ] as const)
    given(accountZone, ...created)
      .when(late)
      .emits();
});

test('steps are published once, in order, and then the snapshot', () => {
  const progress = { request: 'first', step: 'profile', done: 1, of: 3 };
  const progressed = { type: 'AccountSnapshotProgressed', progress } as const;
  given(accountZone, ...created)
    .when({ type: 'NoteProgress', progress })
    .emits(progressed);
  given(accountZone, ...created, progressed)
    .when({ type: 'NoteProgress', progress })
    .emits();
  given(accountZone, ...created, progressed)
    .when({ type: 'RecordSnapshot', request: 'first', snapshot: snapshot('first') })
    .emits({ type: 'AccountSnapshotGenerated', request: 'first', snapshot: snapshot('first') });
});

test('fault 80: an account of another server is adopted without an event account.created', () => {
  const restore: AccountCommand = { type: 'RestoreAccount', user: 'kim', tenant: 'main', createdAt: 500, snapshot: snapshot('first') };
  const restored = { type: 'AccountRestored', user: 'kim', tenant: 'main', createdAt: 500, snapshot: snapshot('first') } as const;
  given(accountZone).when(restore).emits(restored);
  given(accountZone, restored).when(restore).emits();
  given(accountZone, restored).when(create).emits();
  given(accountZone)
    .at(1_000)
    .when({ ...restore, snapshot: null })
    .emits({ ...restored, snapshot: null }, { type: 'AccountSnapshotRequested', request: 'first', at: 1_000 });
});

test('fault 80: a snapshot is never replaced by an older one, and a request without a newer one ends', () => {
  const third = { type: 'AccountSnapshotGenerated', request: 'third', snapshot: snapshot('third', 3) } as const;
  given(accountZone, ...created, third)
    .when({ type: 'RecordSnapshot', request: 'first', snapshot: snapshot('first', 2) })
    .emits({ type: 'AccountSnapshotGenerated', request: 'first', snapshot: snapshot('third', 3) });
  given(accountZone, ...created, third)
    .when({ type: 'RestoreAccount', user: 'kim', tenant: 'main', createdAt: 500, snapshot: snapshot('first', 2) })
    .emits();
});
