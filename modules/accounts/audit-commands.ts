import { createReadStream, existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { UserError } from '@millrace/base/user-error';
import { type AuditEntry, HOME_TENANT } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import type { CommandContext } from '@millrace/module';
import { AuditLog, exportedEntries, exportedEntry, verifyChain } from './audit.ts';
import { UserStore } from './user-store.ts';

const REMEDY = 'Use a file that "millrace audit export" wrote.';

const TENANTS_LISTED_MAX = 20;

interface ExportedLine {
  readonly tenant: string;
  readonly entry: AuditEntry;
}

/** Writes the audit log of a tenant to standard output as JSON Lines, oldest first. @throws UserError for an unknown tenant */
export async function exportAudit({ write, withDatabase }: CommandContext, tenant: string): Promise<void> {
  await withDatabase(async (database) => {
    await requireTenant(database, tenant);
    for await (const entry of exportedEntries(tenant, new AuditLog(database))) write(entry);
  });
}

/**
 * Verifies the audit log of a tenant: in the database, or in an exported file. The command fails if it is invalid.
 * @throws UserError when the tenant is unknown, or the file is missing, is not an export or is of another tenant
 */
export async function verifyAudit(context: CommandContext, tenant: string | undefined, file: string | undefined): Promise<void> {
  const path = file === undefined ? null : resolve(context.folder, file);
  const verified = path === null ? (tenant ?? HOME_TENANT) : await tenantIn(path);
  if (tenant !== undefined && tenant !== verified)
    throw new UserError(
      `${path} is the audit log of the tenant "${verified}", not of "${tenant}"`,
      `Use --tenant ${verified}, or another file.`,
    );
  const { entries, firstInvalid, hash } = await (path === null
    ? context.withDatabase(async (database) => {
        await requireTenant(database, verified);
        return new AuditLog(database).verify(verified);
      })
    : verifyChain(verified, entriesIn(path, verified)));
  if (firstInvalid === null) {
    context.write(`${verified}: ${entries} entries verified; hash of the newest: ${hash}\n`);
    return;
  }
  context.write(`${verified}: entry ${firstInvalid} was changed, removed or inserted; the ${entries} entries before it are valid\n`);
  context.fail();
}

/** An unknown tenant has no entries, and would be verified. @throws UserError */
async function requireTenant(database: Database, tenant: string): Promise<void> {
  const known = (await new UserStore(database).tenants()).map(({ id }) => id);
  if (known.includes(tenant) || (await new AuditLog(database).list(tenant, { limit: 1 })).length > 0) return;
  const listed = known.slice(0, TENANTS_LISTED_MAX).join(', ');
  throw new UserError(`there is no tenant "${tenant}"`, `Use one of: ${listed}${known.length > TENANTS_LISTED_MAX ? ', …' : ''}.`);
}

/** The tenant of an exported file, by its first entry. @throws UserError when it has none */
async function tenantIn(file: string): Promise<string> {
  for await (const { tenant } of linesIn(file)) return tenant;
  throw new UserError(`${file} has no entries`, REMEDY);
}

/** An entry of another tenant than the file gets an invalid hash. */
async function* entriesIn(file: string, expected: string): AsyncGenerator<AuditEntry> {
  for await (const { tenant, entry } of linesIn(file)) yield tenant === expected ? entry : { ...entry, hash: '' };
}

async function* linesIn(file: string): AsyncGenerator<ExportedLine> {
  if (!existsSync(file)) throw new UserError(`there is no file ${file}`, REMEDY);
  if (!statSync(file).isFile()) throw new UserError(`${file} is not a file`, REMEDY);
  let number = 0;
  for await (const text of createInterface({ input: createReadStream(file) })) {
    number++;
    if (text !== '') yield parsed(text, `line ${number} of ${file}`);
  }
}

/** @throws UserError when a line is not an entry of an export */
function parsed(text: string, where: string): ExportedLine {
  try {
    const line = JSON.parse(text) as Record<string, unknown>;
    if (typeof line.tenant === 'string') return { tenant: line.tenant, entry: exportedEntry(line) };
  } catch {
    // The error below names the line.
  }
  throw new UserError(`${where} is not an entry of an audit log in JSON`, REMEDY);
}
