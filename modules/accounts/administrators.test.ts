import assert from 'node:assert/strict';
import { test } from 'node:test';
import { losesAdministrator } from './administrators.ts';

const ADMINISTRATOR = { role: 'admin', disabled: false } as const;

test('a tenant loses an administrator when one gets another role or is disabled', () => {
  assert.equal(losesAdministrator(ADMINISTRATOR, { role: 'viewer' }), true);
  assert.equal(losesAdministrator(ADMINISTRATOR, { disabled: true }), true);
});

test('a tenant keeps an administrator whose change concerns neither', () => {
  assert.equal(losesAdministrator(ADMINISTRATOR, {}), false);
  assert.equal(losesAdministrator(ADMINISTRATOR, { role: 'admin', disabled: false }), false);
});

test('a tenant does not lose an administrator that it does not have', () => {
  assert.equal(losesAdministrator({ role: 'admin', disabled: true }, { role: 'viewer' }), false);
  assert.equal(losesAdministrator({ role: 'viewer', disabled: false }, { disabled: true }), false);
});
