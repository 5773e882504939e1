import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { english } from '../../apps/web/src/text/english.ts';
import { korean } from '../../apps/web/src/text/korean.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'apps', 'web', 'src', 'text');
const LANGUAGES = { english, korean } as const;
const HANGUL = /\p{Script=Hangul}/u;
/** Terms that Korean operators use untranslated. */
const SAME_IN_BOTH = /^(RTT|RTO|RPO|API|[{}a-z .·,]*)$/;

/** Names of texts in the source files of a language. */
function namesIn(language: string): string[] {
  const parts = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file === `${language}.ts` || (file.startsWith(join(language, '/')) && !file.endsWith('errors.ts')),
  );
  assert.ok(parts.length > 1);
  return parts.flatMap((file) => [...readFileSync(join(FOLDER, file), 'utf8').matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name as string));
}

for (const [language, texts] of Object.entries(LANGUAGES))
  test(`fault 34: no text is defined twice or left empty, in ${language}`, () => {
    const names = namesIn(language);
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
    assert.deepEqual([...names].sort(), Object.keys(texts).sort());
    for (const [name, words] of Object.entries(texts)) assert.ok(words.trim() !== '', name);
  });

test('fault 34: both languages have the same texts with the same placeholders', () => {
  assert.deepEqual(Object.keys(korean).sort(), Object.keys(english).sort());
  const blanks = (words: string) => (words.match(/\{\w+\}/g) ?? []).sort();
  for (const name of Object.keys(english) as (keyof typeof english)[]) {
    assert.deepEqual(blanks(korean[name]), blanks(english[name]), name);
    assert.ok(HANGUL.test(korean[name]) || SAME_IN_BOTH.test(korean[name]), `${name} is not in Korean: ${korean[name]}`);
  }
});
