import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDisplayName, nameKeyOf, normalizedName } from './display-name.ts';

test('fault 27: invisible names, and names that change the display of other text, are invalid', () => {
  for (const name of ['Kim', '김민수', 'Zoë', 'محمد', 'O’Neil-Smith', 'R2 D2', '🦊', 'Владимир'])
    assert.equal(isDisplayName(normalizedName(name)), true, name);
  const invisible = ['', ' ', '\u3000', '\u200b', '\u2800', '\u3164', '\u00ad', '...', '\u0301'];
  const harmful = [
    'a\u202eb',
    'a\u2066b',
    'a\u0000b',
    'a\nb',
    'a\rb',
    'a\u2028b',
    'a\u007fb',
    'a\u200db',
    'a\ue000b',
    '\ud800',
    `a${'\u0301'.repeat(5)}`,
  ];
  for (const name of [...invisible, ...harmful]) assert.equal(isDisplayName(name), false, JSON.stringify(name));
});

test('fault 27: names that differ only in case, width or spaces have the same key', () => {
  for (const name of ['owner 0', ' Owner  0 ', 'OWNER 0', 'Ｏｗｎｅｒ\u30000']) assert.equal(nameKeyOf(name), nameKeyOf('Owner 0'), name);
  assert.equal(nameKeyOf('straße'), nameKeyOf('STRASSE'));
  assert.equal(nameKeyOf('Ελλάς'), nameKeyOf('ΕΛΛΆΣ'));
  assert.notEqual(nameKeyOf('Owner 1'), nameKeyOf('Owner 0'));
});

test('the order of combining marks does not change the key, even if a mark becomes a letter in upper case', () => {
  // Alpha with iota below (U+0345) and acute accent (U+0301): in both orders, and as a single character.
  for (const name of ['\u03b1\u0345\u0301', '\u03b1\u0301\u0345', '\u1fb4']) assert.equal(nameKeyOf(name), nameKeyOf('\u0391\u0301\u0399'));
});

test('normalization is idempotent, and a name and its normalized form have the same key', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const name = normalizedName(text);
      assert.equal(normalizedName(name), name);
      assert.equal(nameKeyOf(name), nameKeyOf(text));
      assert.equal(nameKeyOf(nameKeyOf(text)), nameKeyOf(text));
    }),
  );
});
