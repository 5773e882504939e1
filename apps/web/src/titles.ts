import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { type Text, useText } from './text/text.ts';

/** What each page is called, the most special address first; what follows an address stands before its name. */
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
  [/^\/sign-up$/, 'becomeUser'],
  [/^\/forgot-password$/, 'forgotPassword'],
  [/^\/reset-password$/, 'newPassword'],
  [/^\/verify-email$/, 'verifyEmail'],
];

/** Names the browser’s tab after the page, in the chosen language. */
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

/** A part of an address as it was before it was encoded; as it stands where it cannot be read. */
function readable(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
