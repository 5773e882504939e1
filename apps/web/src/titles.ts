import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { type Text, useText } from './text/text.ts';

/** Title of each page, most specific path first; the rest of the path precedes the title. */
const TITLES: readonly (readonly [address: RegExp, name: keyof Text])[] = [
  [/^\/$/, 'instruments'],
  [/^\/instruments\/([^/]+)$/, 'instrument'],
  [/^\/sources$/, 'sources'],
  [/^\/events$/, 'events'],
  [/^\/worlds$/, 'zones'],
  [/^\/worlds\/zones\/([^/]+)$/, 'zone'],
  [/^\/worlds\/players$/, 'players'],
  [/^\/worlds\/players\/([^/]+)$/, 'player'],
  [/^\/worlds\/snapshots$/, 'snapshots'],
  [/^\/worlds\/play$/, 'play'],
  [/^\/account$/, 'account'],
  [/^\/tenants$/, 'users'],
  [/^\/tenants\/([^/]+)$/, 'users'],
  [/^\/sign-in$/, 'signIn'],
  [/^\/sign-up$/, 'createAccount'],
  [/^\/forgot-password$/, 'forgotPassword'],
  [/^\/reset-password$/, 'newPassword'],
  [/^\/verify-email$/, 'verifyEmail'],
];

/** Sets the title of the browser tab, in the selected language. */
export function usePageTitle(): void {
  const text = useText();
  const [here] = useLocation();
  const title = titleOf(here, text);
  useEffect(() => {
    document.title = `${title} · Millrace`;
  }, [title]);
}

function titleOf(here: string, text: Text): string {
  for (const [address, name] of TITLES) {
    const found = address.exec(here);
    if (found) return found[1] === undefined ? text[name] : `${readable(found[1])} · ${text[name]}`;
  }
  return text.pageNotFound;
}

/** Decodes a path segment; returns it unchanged if the encoding is invalid. */
export function readable(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
