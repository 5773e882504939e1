import { createHash } from 'node:crypto';
import { AuditEntry, type AuditVerification, fromWire, toWire } from '@millrace/contracts';
import type { Database, Transaction } from '@millrace/database';
import { and, asc, desc, eq, gt, lt, sql } from 'drizzle-orm';
import { auditEntries } from './tables/tables.ts';

/** The hash that the first entry of a tenant follows. */
const BEFORE_THE_FIRST = '0'.repeat(64);
const ENTRIES_PER_READ = 1_000;
/** Namespace of our advisory locks: entries of one tenant are written one after another. The value is arbitrary. */
const CHAIN_LOCK = 6_455_224;

export type NewAuditEntry = Pick<AuditEntry, 'actor' | 'user' | 'action' | 'subject' | 'detail' | 'remote' | 'trace'> & {
  /** Default: now. */
  readonly occurredAt?: number;
};

/** Audit log with one hash chain per tenant: the hash of an entry covers the entry and the hash before it. */
export class AuditLog {
  readonly #database: Database;
  readonly #onAppended: (tenant: string, entry: AuditEntry) => void;

  /** @param onAppended called with each entry after it is written */
  constructor(database: Database, onAppended: (tenant: string, entry: AuditEntry) => void = () => {}) {
    this.#database = database;
    this.#onAppended = onAppended;
  }

  /** @returns the stored entry */
  async append(tenant: string, content: NewAuditEntry): Promise<AuditEntry> {
    const { entry } = await this.appendWith(
      tenant,
      async () => {},
      () => content,
    );
    return entry;
  }

  /** Appends an entry unless it is in the log: after an attempt that failed, the response may have been lost only. */
  async appendOnce(tenant: string, content: NewAuditEntry & { readonly occurredAt: number }): Promise<void> {
    const appended = await this.#database.drizzle.transaction(async (transaction) => {
      await lockChain(transaction, tenant);
      const { trace, action, subject, occurredAt } = content;
      const same = { tenant, trace, action, subject, at: occurredAt };
      const [known] = await transaction
        .select({ number: auditEntries.number })
        .from(auditEntries)
        .where(and(...Object.entries(same).map(([column, value]) => eq(auditEntries[column as keyof typeof same], value))))
        .limit(1);
      return known ? null : append(transaction, tenant, content);
    });
    if (appended) this.#onAppended(tenant, appended);
  }

  /**
   * Makes a change and appends its entry, in one transaction: neither is stored without the other.
   * @param change rejects to change nothing. It must use only this transaction: an embedded database has one at a time
   */
  async appendWith<T>(
    tenant: string,
    change: (transaction: Transaction) => Promise<T>,
    contentOf: (result: T) => NewAuditEntry,
  ): Promise<{ readonly result: T; readonly entry: AuditEntry }> {
    const appended = await this.#database.drizzle.transaction(async (transaction) => {
      const result = await change(transaction);
      return { result, entry: await append(transaction, tenant, contentOf(result)) };
    });
    this.#onAppended(tenant, appended.entry);
    return appended;
  }

  /** Entries with a lower number than `before`, newest first. */
  async list(tenant: string, { before, limit }: { before?: number | undefined; limit: number }): Promise<AuditEntry[]> {
    const rows = await this.#database.drizzle
      .select()
      .from(auditEntries)
      .where(and(eq(auditEntries.tenant, tenant), before === undefined ? undefined : lt(auditEntries.number, before)))
      .orderBy(desc(auditEntries.number))
      .limit(limit);
    return rows.map(entryOf);
  }

  /** All entries, oldest first. */
  async *all(tenant: string): AsyncGenerator<AuditEntry> {
    for (let number = 0; ; ) {
      const rows = await this.#database.drizzle
        .select()
        .from(auditEntries)
        .where(and(eq(auditEntries.tenant, tenant), gt(auditEntries.number, number)))
        .orderBy(asc(auditEntries.number))
        .limit(ENTRIES_PER_READ);
      for (const row of rows) yield entryOf(row);
      if (rows.length < ENTRIES_PER_READ) return;
      number = rows.at(-1)?.number ?? 0;
    }
  }

  verify(tenant: string): Promise<AuditVerification> {
    return verifyChain(tenant, this.all(tenant));
  }
}

/** Locks the chain of a tenant until the transaction ends. */
async function lockChain(transaction: Transaction, tenant: string): Promise<void> {
  await transaction.execute(sql`select pg_advisory_xact_lock(${CHAIN_LOCK}, hashtext(${tenant}))`);
}

async function append(transaction: Transaction, tenant: string, content: NewAuditEntry): Promise<AuditEntry> {
  await lockChain(transaction, tenant);
  const [last] = await transaction
    .select({ number: auditEntries.number, hash: auditEntries.hash })
    .from(auditEntries)
    .where(eq(auditEntries.tenant, tenant))
    .orderBy(desc(auditEntries.number))
    .limit(1);
  const entry = { number: (last?.number ?? 0) + 1, occurredAt: Date.now(), ...content };
  const hash = hashOf(tenant, entry, last?.hash ?? BEFORE_THE_FIRST);
  const { occurredAt: at, ...rest } = entry;
  await transaction.insert(auditEntries).values({ tenant, at, ...rest, hash });
  return { ...entry, hash };
}

/** Verifies a whole chain: counts the valid entries up to the first that is invalid or missing. */
export async function verifyChain(tenant: string, chain: AsyncIterable<AuditEntry>): Promise<AuditVerification> {
  let entries = 0;
  let hash = BEFORE_THE_FIRST;
  for await (const { hash: stored, ...entry } of chain) {
    if (entry.number !== entries + 1 || hashOf(tenant, entry, hash) !== stored) return { entries, firstInvalid: entries + 1, hash };
    entries++;
    hash = stored;
  }
  return { entries, firstInvalid: null, hash };
}

/** All entries of a tenant as JSON Lines. Each has the tenant, so that the file can be verified by itself. */
export async function* exportedEntries(tenant: string, audit: AuditLog): AsyncGenerator<string> {
  for await (const entry of audit.all(tenant)) yield `${JSON.stringify({ tenant, ...(entryToWire?.(entry) as object) })}\n`;
}

const entryToWire = toWire(AuditEntry);
const entryFromWire = fromWire(AuditEntry);

/** An entry of an export. In older exports `occurredAt` is `at`, epoch ms. */
export function exportedEntry({ tenant: _tenant, at, ...exported }: Record<string, unknown>): AuditEntry {
  const entry = at === undefined ? entryFromWire?.(exported) : { ...exported, occurredAt: at };
  return entry as AuditEntry;
}

function entryOf({ tenant: _tenant, at, ...entry }: typeof auditEntries.$inferSelect): AuditEntry {
  return { ...entry, occurredAt: at };
}

function hashOf(tenant: string, entry: Omit<AuditEntry, 'hash'>, before: string): string {
  const { number, occurredAt: at, actor, user = null, action, subject, detail, remote, trace } = entry;
  const parts = [before, tenant, number, at, actor, action, subject, canonical(detail), remote, trace];
  // Entries from before user ids were stored lack this part, so their hash leaves it out.
  const text = JSON.stringify(user === null ? parts : [...parts, user]);
  return createHash('sha256').update(text).digest('hex');
}

/** Canonical JSON: equal for equal content, whatever order of keys the table returns. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, item]) => [key, canonical(item)]);
}
