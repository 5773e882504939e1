import { configSchema } from '@millrace/contracts/documents';
import { type ServingFlags, settingsFor } from './settings.ts';

export function check(flags: ServingFlags): void {
  const { sources, data } = settingsFor(flags);
  console.log(`the configuration is good: ${sources.length} source(s), data in ${data}`);
}

export function print(flags: ServingFlags): void {
  console.log(JSON.stringify(settingsFor(flags), null, 2));
}

export function schema(): void {
  console.log(JSON.stringify(configSchema(), null, 2));
}
