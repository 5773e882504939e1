import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWeak } from './weak-passwords.ts';

test('leaked passwords, patterns, repetitions and data of the owner are weak', async () => {
  for (const password of [
    '123456789012',
    'passwordpassword',
    'qwertyuiop[]',
    'aaaaaaaaaaaaaaa',
    'Password1234',
    'iloveyou1234',
    '1q2w3e4r5t6y',
    'minjun123456',
  ])
    assert.equal(await isWeak(password, ['Kim Minjun', 'kim.minjun@example.com']), true, password);
});

test('phrases and generated passwords are not weak', async () => {
  for (const password of ['a mill turns while water runs', 'correct horse battery staple', 'xK9#mQ2$vL7n', '물레방아는 물이 흐르면 돈다'])
    assert.equal(await isWeak(password, ['Kim', 'kim@example.com']), false, password);
});

test('fault 26: a long password has the score of its better end', async () => {
  const strong = 'seven herons over a quiet weir';
  assert.equal(await isWeak('p4$$w0rd'.repeat(16), []), true);
  assert.equal(await isWeak(`${'a'.repeat(60)}${strong}`, []), false);
  assert.equal(await isWeak(`${strong}${'a'.repeat(60)}`, []), false);
});
