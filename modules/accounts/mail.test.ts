import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emailMessageFor } from './mail.ts';

test('fault 27: a mail contains our text and link, and nothing that a user chose', () => {
  const link = 'https://mill.example/verify-email?token=x';
  const named = { to: 'kim@example.com', kind: 'verify', name: 'Win at evil.example/prize', link } as const;
  const { text, subject } = emailMessageFor(named);
  assert.doesNotMatch(text, /evil/);
  assert.deepEqual(text.match(/\S+\.\S+\/\S*/g), [link]);
  assert.match(subject, /Confirm your address \/ 주소/);
});
