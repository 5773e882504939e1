import { Type } from 'typebox';

/*
 * What people call users, tenants, keys, passkeys and players: the Nickname profile of PRECIS (RFC 8266) as far as Unicode's properties tell it. A name is shown to
 * others, so it must be visible, stay within its line, and not be mistaken for another one.
 */

/** Marks that may follow each other: more than writing needs, fewer than it takes to cover the lines above and below. */
const MARKS_MAX = 4;
/** No controls, format characters (bidirectional ones among them), surrogates, private or unassigned ones, separators of lines; nothing ignorable or blank. */
const FORBIDDEN = new RegExp(`[\\p{C}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u2800]|\\p{M}{${MARKS_MAX + 1}}`, 'u');
const VISIBLE = /[\p{L}\p{N}\p{Extended_Pictographic}]/u;

/** The format's name in schemas. */
export const DISPLAY_NAME = 'display-name';

export function isDisplayName(text: string): boolean {
  return VISIBLE.test(text) && !FORBIDDEN.test(text);
}

/** As it is kept: without spaces around it, and one way of writing for what can be written in several (NFKC). */
export function normalizedName(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/\p{Zs}+/gu, ' ')
    .trim();
}

/**
 * The same for names that only differ in case, width or spaces: two users of one tenant must not have the same one. Marks are put in their order before the case is
 * folded: the small iota below a Greek letter is a mark in lower case and a letter in upper case, and what stands behind it would belong to another letter.
 */
export function nameKeyOf(text: string): string {
  // Lower case makes a small sharp s of the capital one, upper case two letters of that, and one of the two forms of a small sigma.
  return normalizedName(normalizedName(text).toLowerCase().toUpperCase().toLowerCase());
}

/** A schema of names of at most so many characters. */
export function displayName(charactersMax: number) {
  return Type.String({
    minLength: 1,
    maxLength: charactersMax,
    format: DISPLAY_NAME,
    description: 'At least one letter, digit or emoji; no control, invisible or bidirectional characters, no line breaks.',
    'x-remedy': 'Use letters, digits, spaces and punctuation; leave out control, invisible and bidirectional characters and line breaks.',
  });
}
