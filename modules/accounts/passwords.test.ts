import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { passwordsWith } from './passwords.ts';

const { hash: hashPassword, verify: verifyPassword } = passwordsWith('a secret that is not in the tables');

test('a password is verified against its hash, and no other is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 64 }), fc.string({ minLength: 1 }), async (password, other) => {
      const hash = await hashPassword(password);
      assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1,keyid=1\$[\w+/]{22}\$/);
      assert.equal(await verifyPassword(hash, password), true);
      assert.equal(await verifyPassword(hash, other), other.normalize('NFKC') === password.normalize('NFKC'));
    }),
    { numRuns: 8 },
  );
});

test('equal passwords have different hashes', async () => {
  assert.notEqual(await hashPassword('correct horse'), await hashPassword('correct horse'));
});

test('different Unicode forms of a letter are equal', async () => {
  assert.equal(await verifyPassword(await hashPassword('Caf\u00e9 au lait'), 'Cafe\u0301 au lait'), true);
});

test('agrees with the reference implementation', async () => {
  // Made by the argon2 tool of the reference implementation (Debian, argon2 0~20171227): printf password | argon2 somesalt1234567 -id -t 2 -k 19456 -p 1 -l 32 -e
  const hash = '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3$WYPK+6myHHpqQ9qIVGlKJPlIxeeXxhV/LhLHyQQV2/Q';
  assert.equal(await verifyPassword(hash, 'password'), true);
  assert.equal(await verifyPassword(hash, 'passwore'), false);
});

test('an invalid hash, and one that needs too much memory, verify no password', async () => {
  for (const hash of ['', 'password', '$2b$12$abc', '$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$AAAA'])
    assert.equal(await verifyPassword(hash, 'password'), false);
});

test('hashes cannot be verified without the pepper', async () => {
  const hash = await hashPassword('correct horse');
  assert.equal(await passwordsWith('another secret').verify(hash, 'correct horse'), false);
  assert.equal(await passwordsWith('another secret').verify(hash.replace(',keyid=1', ''), 'correct horse'), false);
});
