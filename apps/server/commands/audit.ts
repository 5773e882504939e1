import { createReadStream, existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { AuditLog, exportedEntry, exportedLines, verifyChain } from '@millrace/accounts';
import type { AuditEntry } from '@millrace/contracts';
import { createLogger } from '@millrace/platform/telemetry';
import { withDatabase } from '../database/server-database.ts';
import { UserError } from '../user-error.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

interface AuditFlags extends ServingFlags {
  readonly tenant: string;
  readonly file?: string;
}

/** Writes every line of a tenant’s audit log to standard output, a JSON document a line, oldest first. */
export async function exportLines({ tenant, ...flags }: AuditFlags): Promise<void> {
  const settings = settingsFor(flags);
  await withDatabase(settings, createLogger(settings.logging.level), async (database) => {
    for await (const line of exportedLines(tenant, new AuditLog(database))) process.stdout.write(line);
  });
}

/** Says whether a tenant’s chain is whole: in the tables, or in a file that was exported. Ends with 1 when it is not. */
export async function verify({ tenant, file, ...flags }: AuditFlags): Promise<void> {
  const settings = settingsFor(flags);
  const { lines, firstInvalid, hash } =
    file === undefined
      ? await withDatabase(settings, createLogger(settings.logging.level), (database) => new AuditLog(database).verify(tenant))
      : await verifyChain(tenant, linesIn(resolve(process.env.MILLRACE_CWD ?? process.cwd(), file)));
  if (firstInvalid === null) {
    console.log(`${tenant}: ${lines} lines, all sound; the newest has the hash ${hash}`);
    return;
  }
  console.log(`${tenant}: line ${firstInvalid} was changed, taken out or put in; the ${lines} before it are sound`);
  process.exitCode = 1;
}

async function* linesIn(file: string): AsyncGenerator<AuditEntry> {
  if (!existsSync(file)) throw new UserError(`there is no file ${file}`, 'Name one that "millrace audit export" wrote.');
  let number = 0;
  for await (const text of createInterface({ input: createReadStream(file) })) {
    number++;
    if (text === '') continue;
    try {
      yield exportedEntry(JSON.parse(text) as Record<string, unknown>);
    } catch {
      throw new UserError(`line ${number} of ${file} is no JSON`, 'Name a file that "millrace audit export" wrote.');
    }
  }
}
