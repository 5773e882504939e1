import { usePreferences } from '../preferences.ts';
import { english, type Text } from './english.ts';
import { korean } from './korean.ts';

/** The console’s words in the language that was chosen. */
export function useText(): Text {
  const { language } = usePreferences();
  return language === 'ko' ? korean : english;
}

export type { Text };
