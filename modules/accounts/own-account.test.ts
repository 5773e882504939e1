import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccountStatus } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { OwnAccounts } from './own-account.ts';

test('the account of a user is published once for streams that begin while it is read', async () => {
  const createdAt = 1_000;
  let reads = 0;
  const published: AccountStatus[] = [];
  const accounts = new OwnAccounts({
    zones: {
      open: async () => {},
      view: () => ({ state: { user: 'u1', tenant: 't1', createdAt, snapshot: null, request: null } }),
    } as never,
    records: {
      get: async () => {
        reads++;
        return { tenant: 't1', createdAt, snapshot: null, isCreatedHere: true };
      },
    } as never,
    hub: { publish: (...args: unknown[]) => published.push(args[4] as AccountStatus) } as never,
    isShared: true,
    onFailure: (message, detail) => assert.fail(`${message}: ${detail}`),
  });
  // The hub asks twice for each stream: whether there is a state, and for the state.
  for (const _time of [1, 2, 3]) assert.deepEqual(accounts.events('u1'), []);
  await until(() => published.length > 0, 'the account is published');
  assert.equal(reads, 1);
  assert.equal(published.length, 1);
  accounts.events('u1');
  await until(() => published.length > 1, 'the account is published again');
  assert.equal(reads, 2);
});

test('an account that its zone does not create now, because its log is unavailable, is an error and not an unknown user', async () => {
  const accounts = new OwnAccounts({
    zones: {
      open: async () => {},
      view: () => ({ state: { user: '', tenant: '', createdAt: 0, snapshot: null, request: null } }),
      submit: async () => ({ ok: false, code: 'LOG_UNAVAILABLE', message: 'The log is unavailable.' }),
    } as never,
    records: { get: async () => ({ tenant: 't1', createdAt: 1, snapshot: null, isCreatedHere: true }) } as never,
    ...{ hub: {} as never, isShared: false, onFailure: () => {} },
  });
  await assert.rejects(accounts.status('u1'), { name: 'ApiProblem', code: 'ZONE_UNAVAILABLE', message: /The log is unavailable/ });
});
