import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiryOf } from './api-key-expiry.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 0, 1);
const KEY_DAYS = { usual: 90, most: 365 };

test('a key without a requested expiry gets the usual one, which the maximum bounds', () => {
  assert.equal(expiryOf(undefined, NOW, KEY_DAYS), NOW + 90 * DAY_MS);
  assert.equal(expiryOf(undefined, NOW, { usual: 90, most: 30 }), NOW + 30 * DAY_MS);
});

test('a requested expiry is accepted from the next millisecond to the maximum', () => {
  assert.equal(expiryOf(NOW + 1, NOW, KEY_DAYS), NOW + 1);
  assert.equal(expiryOf(NOW + 365 * DAY_MS, NOW, KEY_DAYS), NOW + 365 * DAY_MS);
});

test('an expiry that is past, or beyond the maximum, is refused', () => {
  assert.throws(() => expiryOf(NOW, NOW, KEY_DAYS), { code: 'BAD_REQUEST', message: `${new Date(NOW).toISOString()} is in the past.` });
  const late = NOW + 365 * DAY_MS + 1;
  const message = `${new Date(late).toISOString()} is more than 365 days in the future.`;
  assert.throws(() => expiryOf(late, NOW, KEY_DAYS), { code: 'BAD_REQUEST', message });
});
