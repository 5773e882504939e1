import { create } from 'zustand';

type Theme = 'light' | 'dark';
type Language = 'en' | 'ko';

interface Preferences {
  readonly theme: Theme;
  readonly language: Language;
  toggleTheme(): void;
  toggleLanguage(): void;
  /** Name of the operator, recorded with actions in the world. */
  readonly operator: string;
  setOperator(operator: string): void;
}

const storedLanguage = localStorage.getItem('millrace.language');

/** Preferences stored in this browser; by default those of the system. */
export const usePreferences = create<Preferences>((set, get) => ({
  theme: document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light',
  language: storedLanguage === 'ko' || storedLanguage === 'en' ? storedLanguage : navigator.language.startsWith('ko') ? 'ko' : 'en',
  toggleTheme: () => {
    const theme = get().theme === 'dark' ? 'light' : 'dark';
    localStorage.setItem('millrace.theme', theme);
    document.documentElement.dataset.theme = theme;
    set({ theme });
  },
  toggleLanguage: () => {
    const language = get().language === 'en' ? 'ko' : 'en';
    localStorage.setItem('millrace.language', language);
    document.documentElement.lang = language;
    set({ language });
  },
  operator: localStorage.getItem('millrace.operator') ?? '',
  setOperator: (operator) => {
    localStorage.setItem('millrace.operator', operator);
    set({ operator });
  },
}));
