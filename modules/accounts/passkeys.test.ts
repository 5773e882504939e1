import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passkeyOrigin } from './passkeys.ts';

test('passkeys need a host name with https, or localhost', () => {
  for (const [baseUrl, origin] of [
    ['https://mill.example', 'https://mill.example'],
    ['https://mill.example:8443/', 'https://mill.example:8443'],
    ['http://127.0.0.1:8420', 'http://localhost:8420'],
    ['http://[::1]:8420', 'http://localhost:8420'],
    ['http://localhost:8420', 'http://localhost:8420'],
    ['https://127.0.0.1:8420', 'https://localhost:8420'],
    ['http://mill.example', null],
    ['https://192.168.0.10:8420', null],
    ['https://[2001:db8::1]', null],
    ['http://0.0.0.0:8420', null],
  ] as const)
    assert.equal(passkeyOrigin(baseUrl), origin, baseUrl);
});
