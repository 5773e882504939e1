import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_PERMISSIONS, ALL_ROLES, HOME_TENANT, PERMISSIONS, permissionsOf } from './access.ts';

test('each role has all permissions of the lower roles', () => {
  for (const [index, role] of ALL_ROLES.slice(1).entries()) {
    const below = permissionsOf(ALL_ROLES[index] ?? 'viewer', HOME_TENANT);
    assert.deepEqual(
      [...below].filter((permission) => !permissionsOf(role, HOME_TENANT).has(permission)),
      [],
    );
  }
  assert.deepEqual([...permissionsOf('admin', HOME_TENANT)].sort(), [...ALL_PERMISSIONS].sort());
});

test('no role outside the home tenant has installation permissions', () => {
  for (const role of ALL_ROLES)
    for (const permission of permissionsOf(role, 'acme'))
      assert.equal(PERMISSIONS[permission].installation, false, `${role} ${permission}`);
});

test('an API key has only permissions that are both in its scopes and among those of its owner', () => {
  assert.deepEqual([...permissionsOf('admin', HOME_TENANT, ['market:read'])], ['market:read']);
  assert.deepEqual([...permissionsOf('viewer', HOME_TENANT, ['market:read', 'platform:admin'])], ['market:read']);
  assert.deepEqual([...permissionsOf('admin', 'acme', ['platform:read'])], []);
});
