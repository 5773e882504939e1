import type { Role } from '@millrace/contracts';
import { usePreferences } from '../preferences.ts';
import { english, type Text } from './english.ts';
import { korean } from './korean.ts';

/** What a role is called. */
export const ROLE_TEXT = {
  viewer: 'roleViewer',
  trader: 'roleTrader',
  operator: 'roleOperator',
  admin: 'roleAdmin',
} as const satisfies Record<Role, keyof Text>;

/** A text with its blanks filled in. */
export function filled(words: string, blanks: Readonly<Record<string, string>>): string {
  return words.replace(/\{(\w+)\}/g, (blank, name) => blanks[name] ?? blank);
}

/** The console’s words in the language that was chosen. */
export function useText(): Text {
  const { language } = usePreferences();
  return language === 'ko' ? korean : english;
}

export type { Text };
