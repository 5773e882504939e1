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

/** The console’s words in the language that was chosen. */
export function useText(): Text {
  const { language } = usePreferences();
  return language === 'ko' ? korean : english;
}

export type { Text };
