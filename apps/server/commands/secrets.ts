import { createLogger } from '@millrace/telemetry';
import { withDatabase } from '../database/server-database.ts';
import { ownSecrets, requireOwnSecrets, sharedSecrets } from '../secrets.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

/** Prints the names of the secrets and the master key of each; never their values. */
export async function list(flags: ServingFlags): Promise<void> {
  await forEach(flags, async (secrets) => {
    for (const { name, master } of await secrets.list()) console.log(`${name.padEnd(16)} ${master}`);
  });
}

/** Encrypts every secret again, with a new data key under the first master key. A running server is not affected: it keeps decrypted secrets in memory. */
export async function rotate(flags: ServingFlags): Promise<void> {
  let resealed = 0;
  await forEach(flags, async (secrets) => {
    resealed += await secrets.reseal();
  });
  console.log(`${resealed} secrets were encrypted again; master keys that "millrace secrets list" no longer names can be removed`);
}

async function forEach(flags: ServingFlags, work: (secrets: ReturnType<typeof ownSecrets>) => Promise<void>): Promise<void> {
  const settings = settingsFor(flags);
  requireOwnSecrets(settings);
  await work(ownSecrets(settings));
  if (settings.database.url !== undefined)
    await withDatabase(settings, createLogger(settings.logging.level), (database) => work(sharedSecrets(settings, database)));
}
