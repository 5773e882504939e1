import { createLogger } from '@millrace/telemetry';
import { withDatabase } from '../database/server-database.ts';
import { ownSecrets, sharedSecrets } from '../secrets.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

/** Says which secrets of the installation there are and which master key each needs; never what they are. */
export async function list(flags: ServingFlags): Promise<void> {
  await forEach(flags, async (secrets) => {
    for (const { name, master } of await secrets.list()) console.log(`${name.padEnd(16)} ${master}`);
  });
}

/** Seals every secret anew, with a new data key under the first master key. The server may be running: it holds what it has opened. */
export async function rotate(flags: ServingFlags): Promise<void> {
  let resealed = 0;
  await forEach(flags, async (secrets) => {
    resealed += await secrets.reseal();
  });
  console.log(`${resealed} secrets are sealed anew; master keys that "millrace secrets list" does not name any more can be taken away`);
}

async function forEach(flags: ServingFlags, work: (secrets: ReturnType<typeof ownSecrets>) => Promise<void>): Promise<void> {
  const settings = settingsFor(flags);
  await work(ownSecrets(settings));
  if (settings.database.url !== undefined)
    await withDatabase(settings, createLogger(settings.logging.level), (database) => work(sharedSecrets(settings, database)));
}
