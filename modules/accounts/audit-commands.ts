import { createReadStream, existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { UserError } from '@millrace/base/user-error';
import type { AuditEntry } from '@millrace/contracts';
import type { CommandContext } from '@millrace/module';
import { AuditLog, exportedEntries, exportedEntry, verifyChain } from './audit.ts';

/** Writes the audit log of a tenant to standard output as JSON Lines, oldest first. */
export async function exportAudit({ write, withDatabase }: CommandContext, tenant: string): Promise<void> {
  await withDatabase(async (database) => {
    for await (const entry of exportedEntries(tenant, new AuditLog(database))) write(entry);
  });
}

/**
 * Verifies the audit log of a tenant: in the database, or in an exported file. The command fails if it is invalid.
 * @throws UserError when the file is missing or is not an export
 */
export async function verifyAudit(context: CommandContext, tenant: string, file: string | undefined): Promise<void> {
  const { entries, firstInvalid, hash } =
    file === undefined
      ? await context.withDatabase((database) => new AuditLog(database).verify(tenant))
      : await verifyChain(tenant, linesIn(resolve(context.folder, file)));
  if (firstInvalid === null) {
    context.write(`${tenant}: ${entries} entries verified; hash of the newest: ${hash}\n`);
    return;
  }
  context.write(`${tenant}: entry ${firstInvalid} was changed, removed or inserted; the ${entries} entries before it are valid\n`);
  context.fail();
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
