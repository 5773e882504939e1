import { Type } from 'typebox';

/*
 * Display names of users, tenants, API keys, passkeys and players: the Nickname profile of PRECIS (RFC 8266) as far as Unicode
 * properties can express it. Other users see the name, so it must be visible, stay within its line and not look like another name.
 */

/** Maximum number of combining marks in a row: more than any language needs, too few to cover the lines above and below. */
const MARKS_MAX = 4;
/** Control, format (including bidirectional), surrogate, private, unassigned, line separator, ignorable and blank characters; too many marks. */
const FORBIDDEN = new RegExp(`[\\p{C}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u2800]|\\p{M}{${MARKS_MAX + 1}}`, 'u');
const VISIBLE = /[\p{L}\p{N}\p{Extended_Pictographic}]/u;

/** Name of the format in schemas. */
export const DISPLAY_NAME = 'display-name';

/** True if a normalized text is valid as a display name. Does not check its length. */
export function isDisplayName(text: string): boolean {
  return VISIBLE.test(text) && !FORBIDDEN.test(text);
}

/** The stored form of a name: in NFKC, trimmed, with a single space for each run of spaces of any kind. */
export function normalizedName(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/\p{Zs}+/gu, ' ')
    .trim();
}

/**
 * Key of a name. Names that differ only in case, width or spaces have the same key, which is unique within a tenant. The marks
 * are sorted before case folding: the iota below a Greek letter is a mark in lower case but a letter in upper case. Marks after
 * it would then belong to the wrong letter.
 */
export function nameKeyOf(text: string): string {
  // Lower case maps the capital sharp s to the small one. Upper case maps that to SS, and both small sigmas to one.
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
