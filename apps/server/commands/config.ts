import { configSchema } from '@millrace/contracts/documents';
import { type ServingFlags, settingsFor } from './settings.ts';

export function check(flags: ServingFlags): void {
  const { sources, data } = settingsFor(flags);
  console.log(`the configuration is valid: ${sources.length} source(s), data in ${data}`);
}

export function print(flags: ServingFlags): void {
  console.log(JSON.stringify(settingsFor(flags), hidden, 2));
}

/** JSON.stringify replacer that hides secrets, HTTP headers and the passwords in URLs, because printed configurations get shared. */
export function hidden(key: string, value: unknown): unknown {
  if (key === 'previousKeys') return (value as string[]).map(() => '…');
  if (key === 'headers') return Object.fromEntries(Object.keys(value as object).map((name) => [name, '…']));
  if (typeof value !== 'string') return value;
  if (/(secret|token)$|^key$/i.test(key)) return '…';
  // The password ends at the last @ of the authority.
  return value
    .replace(/^([a-z][\w+.-]*:\/\/[^:/?#]*):[^/?#]*@/i, '$1:…@')
    .replace(/([?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=)[^&#]*/gi, '$1…');
}

export function schema(): void {
  console.log(JSON.stringify(configSchema(), null, 2));
}
