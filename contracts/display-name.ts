import { Type } from 'typebox';

/*
 * Display names of users, tenants, API keys, passkeys and players: the Nickname profile of PRECIS (RFC 8266) as far as Unicode
 * properties can express it. Others see the name, so it must be visible, stay within its line and not look like another one.
 */

/** Maximum number of combining marks in a row: more than any language needs, too few to cover the lines above and below. */
const MARKS_MAX = 4;
/** Control, format (also bidirectional), surrogate, private, unassigned, line separator, ignorable and blank characters. */
const FORBIDDEN = new RegExp(`[\\p{C}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u2800]|\\p{M}{${MARKS_MAX + 1}}`, 'u');
const VISIBLE = /[\p{L}\p{N}\p{Extended_Pictographic}]/u;

/** Name of the format in schemas. */
export const DISPLAY_NAME = 'display-name';

export function isDisplayName(text: string): boolean {
  return VISIBLE.test(text) && !FORBIDDEN.test(text);
}

/** The name as it is stored: in NFKC, trimmed, with single spaces for all kinds of spaces. */
export function normalizedName(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/\p{Zs}+/gu, ' ')
    .trim();
}

/**
 * Key of a name. Names that differ only in case, width or spaces have the same key, which is unique within a tenant. Marks are
 * put in order before the case is folded: the small iota below a Greek letter is a mark in lower case and a letter in upper
 * case, so marks after it would belong to another letter.
 */
export function nameKeyOf(text: string): string {
  // Lower case turns the capital sharp s into the small one; upper case turns that into SS, and both small sigmas into one.
  return normalizedName(normalizedName(text).toLowerCase().toUpperCase().toLowerCase());
}

/** Schema of display names with a maximum length. */
export function displayName(charactersMax: number) {
  return Type.String({
    minLength: 1,
    maxLength: charactersMax,
    format: DISPLAY_NAME,
    description: 'Display name. At least one letter, digit or emoji. No control, invisible or bidirectional characters, no line breaks.',
    'x-remedy': 'Use letters, digits, spaces and punctuation. Remove control, invisible and bidirectional characters and line breaks.',
  });
}
