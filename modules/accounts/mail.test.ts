import assert from 'node:assert/strict';
import { test } from 'node:test';
import { letterOf } from './mail.ts';

test('a name that its owner chose brings no lines and no links into a letter', () => {
  const name = 'Kim\r\nBcc: all@example.com\r\n\r\nWin at https://evil.example and www.evil.example';
  const { text, subject } = letterOf({ to: 'kim@example.com', kind: 'invite', name, link: 'https://mill.example/sign-up?invitation=x' });
  assert.equal(text.split('\n')[0], 'Kim Bcc: all@example.com Win at evil.example and evil.example,');
  assert.deepEqual(text.match(/https?:\/\/\S+/g), ['https://mill.example/sign-up?invitation=x']);
  assert.match(subject, /You are invited \/ 초대/);
});
