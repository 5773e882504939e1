import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTwoFactor } from './session-rules.ts';

test('a session is signed in with two-factor authentication after a passkey, a code or a recovery code', () => {
  for (const path of ['/passkey/verify-authentication', '/two-factor/verify-totp', '/two-factor/verify-backup-code'])
    assert.equal(isTwoFactor(path, false), true, path);
  assert.equal(isTwoFactor('/sign-in/email', false), false);
});

test('a session that replaces another one is as strong as that one, unless two-factor authentication was disabled', () => {
  assert.equal(isTwoFactor('/change-password', true), true);
  assert.equal(isTwoFactor('/change-password', false), false);
  assert.equal(isTwoFactor('/two-factor/disable', true), false);
});
