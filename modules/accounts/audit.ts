import { createHash } from 'node:crypto';
import { AuditEntry, type AuditVerification, fromWire, toWire } from '@millrace/contracts';
import type { Database } from '@millrace/platform/database';
import { and, asc, desc, eq, gt, lt, sql } from 'drizzle-orm';
import { auditLines } from './tables/tables.ts';

/** The hash that the first line of a tenant follows. */
const BEFORE_THE_FIRST = '0'.repeat(64);
const LINES_AT_A_TIME = 1_000;
/** Any number of ours: lines of one tenant are written one after another. */
const CHAIN_LOCK = 6_455_224;

export type NewAuditEntry = Pick<AuditEntry, 'actor' | 'user' | 'action' | 'subject' | 'detail' | 'remote' | 'trace'>;

/** What was done, in a chain for each tenant: a line’s hash covers the line and the hash before it. */
export class AuditLog {
  readonly #database: Database;
  readonly #onAppended: (tenant: string, line: AuditEntry) => void;

  /** @param onAppended told of each line once it is written */
  constructor(database: Database, onAppended: (tenant: string, line: AuditEntry) => void = () => {}) {
    this.#database = database;
    this.#onAppended = onAppended;
  }

  /** @returns the line as it stands now */
  async append(tenant: string, entry: NewAuditEntry): Promise<AuditEntry> {
    const appended = await this.#database.drizzle.transaction(async (transaction) => {
      await transaction.execute(sql`select pg_advisory_xact_lock(${CHAIN_LOCK}, hashtext(${tenant}))`);
      const [last] = await transaction
        .select({ number: auditLines.number, hash: auditLines.hash })
        .from(auditLines)
        .where(eq(auditLines.tenant, tenant))
        .orderBy(desc(auditLines.number))
        .limit(1);
      const line = { number: (last?.number ?? 0) + 1, occurredAt: Date.now(), ...entry };
      const hash = hashOf(tenant, line, last?.hash ?? BEFORE_THE_FIRST);
      const { occurredAt: at, ...rest } = line;
      await transaction.insert(auditLines).values({ tenant, at, ...rest, hash });
      return { ...line, hash };
    });
    this.#onAppended(tenant, appended);
    return appended;
  }

  /** Lines below a number, newest first. */
  async list(tenant: string, { before, limit }: { before?: number | undefined; limit: number }): Promise<AuditEntry[]> {
    const rows = await this.#database.drizzle
      .select()
      .from(auditLines)
      .where(and(eq(auditLines.tenant, tenant), before === undefined ? undefined : lt(auditLines.number, before)))
      .orderBy(desc(auditLines.number))
      .limit(limit);
    return rows.map(entryOf);
  }

  /** Every line, oldest first. */
  async *all(tenant: string): AsyncGenerator<AuditEntry> {
    for (let number = 0; ; ) {
      const rows = await this.#database.drizzle
        .select()
        .from(auditLines)
        .where(and(eq(auditLines.tenant, tenant), gt(auditLines.number, number)))
        .orderBy(asc(auditLines.number))
        .limit(LINES_AT_A_TIME);
      for (const row of rows) yield entryOf(row);
      if (rows.length < LINES_AT_A_TIME) return;
      number = rows.at(-1)?.number ?? 0;
    }
  }

  verify(tenant: string): Promise<AuditVerification> {
    return verifyChain(tenant, this.all(tenant));
  }
}

/** Goes through a whole chain: how many lines are sound, and the number of the first that is not, or is missing. */
export async function verifyChain(tenant: string, chain: AsyncIterable<AuditEntry>): Promise<AuditVerification> {
  let lines = 0;
  let hash = BEFORE_THE_FIRST;
  for await (const { hash: stored, ...line } of chain) {
    if (line.number !== lines + 1 || hashOf(tenant, line, hash) !== stored) return { lines, firstInvalid: lines + 1, hash };
    lines++;
    hash = stored;
  }
  return { lines, firstInvalid: null, hash };
}

/** Every line of a tenant as a JSON document a line, which stands for itself wherever it is kept. */
export async function* exportedLines(tenant: string, audit: AuditLog): AsyncGenerator<string> {
  for await (const entry of audit.all(tenant)) yield `${JSON.stringify({ tenant, ...(entryToWire?.(entry) as object) })}\n`;
}

const entryToWire = toWire(AuditEntry);
const entryFromWire = fromWire(AuditEntry);

/** An entry of an export, which may be of a time when `occurredAt` was `at`, epoch ms. */
export function exportedEntry({ tenant: _tenant, at, ...exported }: Record<string, unknown>): AuditEntry {
  const entry = at === undefined ? entryFromWire?.(exported) : { ...exported, occurredAt: at };
  return entry as AuditEntry;
}

function entryOf({ tenant: _tenant, at, ...line }: typeof auditLines.$inferSelect): AuditEntry {
  return { ...line, occurredAt: at };
}

function hashOf(tenant: string, line: Omit<AuditEntry, 'hash'>, before: string): string {
  const { number, occurredAt: at, actor, user = null, action, subject, detail, remote, trace } = line;
  const parts = [before, tenant, number, at, actor, action, subject, canonical(detail), remote, trace];
  // Lines of before ids were written have no such part, and are not changed by that.
  const text = JSON.stringify(user === null ? parts : [...parts, user]);
  return createHash('sha256').update(text).digest('hex');
}

/** The same for the same content, however its keys came back from the table. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, member]) => [key, canonical(member)]);
}
