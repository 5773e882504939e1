import { createReadStream, existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { AuditLog, exportedEntries, exportedEntry, verifyChain } from '@millrace/accounts';
import { UserError } from '@millrace/base/user-error';
import type { AuditEntry } from '@millrace/contracts';
import { createLogger } from '@millrace/telemetry';
import { withDatabase } from '../database/server-database.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

interface AuditFlags extends ServingFlags {
  readonly tenant: string;
  readonly file?: string;
}

/** Writes the audit log of a tenant to standard output as JSON Lines, oldest first. */
export async function exportLines({ tenant, ...flags }: AuditFlags): Promise<void> {
  const settings = settingsFor(flags);
  await withDatabase(settings, createLogger(settings.logging.level), async (database) => {
    for await (const entry of exportedEntries(tenant, new AuditLog(database))) process.stdout.write(entry);
  });
}

/** Verifies the audit log of a tenant: in the database, or in an exported file. Exits with status 1 if it is invalid. */
export async function verify({ tenant, file, ...flags }: AuditFlags): Promise<void> {
  const settings = settingsFor(flags);
  const { entries, firstInvalid, hash } =
    file === undefined
      ? await withDatabase(settings, createLogger(settings.logging.level), (database) => new AuditLog(database).verify(tenant))
      : await verifyChain(tenant, linesIn(resolve(process.env.MILLRACE_CWD ?? process.cwd(), file)));
  if (firstInvalid === null) {
    console.log(`${tenant}: ${entries} entries verified; hash of the newest: ${hash}`);
    return;
  }
  console.log(`${tenant}: entry ${firstInvalid} was changed, removed or inserted; the ${entries} entries before it are valid`);
  process.exitCode = 1;
}

async function* linesIn(file: string): AsyncGenerator<AuditEntry> {
  if (!existsSync(file)) throw new UserError(`there is no file ${file}`, 'Use a file that "millrace audit export" wrote.');
  let number = 0;
  for await (const text of createInterface({ input: createReadStream(file) })) {
    number++;
    if (text === '') continue;
    try {
      yield exportedEntry(JSON.parse(text) as Record<string, unknown>);
    } catch {
      throw new UserError(`line ${number} of ${file} is not JSON`, 'Use a file that "millrace audit export" wrote.');
    }
  }
}
