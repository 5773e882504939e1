import type { AuditEvent } from '@millrace/http';
import type { AuditLog, NewAuditEntry } from './audit.ts';

/** Entries that are kept while the database is unavailable. */
const PENDING_MAX = 1_000;

/** An operator must get a response, and a server must stop, also while the database does not respond. */
const WAIT_MS_MAX = 2_000;

interface Pending {
  readonly tenant: string;
  readonly content: NewAuditEntry & { readonly occurredAt: number };
}

/**
 * Appends actions that have taken effect to the audit log: those of operators, sign-ins, changes of credentials. An entry that cannot be stored is kept
 * in memory and stored later.
 */
export class AuditedOperations {
  readonly #audit: AuditLog;
  readonly #onFailure: (message: string, detail: unknown) => void;
  #pending: Pending[] = [];
  /** Entries that are being stored for the first time. */
  readonly #appending = new Map<Pending, Promise<void>>();
  #storing: Promise<void> | null = null;

  constructor(audit: AuditLog, onFailure: (message: string, detail: unknown) => void) {
    this.#audit = audit;
    this.#onFailure = onFailure;
  }

  append({ principal, route, detail, remote, trace }: AuditEvent): Promise<void> {
    const { tenant, name, user } = principal;
    return this.store(tenant, { actor: name, user, action: 'operated', subject: route, detail: { ...detail }, remote, trace });
  }

  /** Resolves when the entry is stored or is kept to be stored later, at the latest after 2 s: then it is stored in the background. */
  async store(tenant: string, action: NewAuditEntry): Promise<void> {
    const content = { ...action, occurredAt: Date.now() };
    const entry = { tenant, content };
    const stored = this.#audit
      .append(tenant, content)
      .then(
        () => {},
        (error: unknown) => {
          this.#onFailure(`the audit entry of ${content.actor} for ${content.subject} could not be stored; it is tried again`, error);
          this.#pending.push(entry);
          if (this.#pending.length > PENDING_MAX) this.#drop(this.#pending.splice(0, 1));
        },
      )
      .finally(() => this.#appending.delete(entry));
    this.#appending.set(entry, stored);
    await settledInTime(stored);
  }

  /** Stores the entries that are kept, oldest first. Rejects at the first that cannot be stored; the next call begins with the one after it. */
  storePending(): Promise<void> {
    this.#storing ??= this.#storeOldest().finally(() => {
      this.#storing = null;
    });
    return this.#storing;
  }

  async #storeOldest(): Promise<void> {
    for (let oldest = this.#pending[0]; oldest; oldest = this.#pending[0]) {
      const { tenant, content } = oldest;
      const failure = await this.#audit.appendOnce(tenant, content).then(
        () => null,
        (error: unknown) => ({ error }),
      );
      this.#pending = this.#pending.filter((other) => other !== oldest);
      if (!failure) continue;
      this.#pending.push(oldest);
      throw failure.error;
    }
  }

  /** Stores the entries that are not stored yet, and reports those that are not within 2 s. */
  async close(): Promise<void> {
    const stored = Promise.all(this.#appending.values()).then(() => this.storePending());
    await settledInTime(stored.catch(() => {}));
    this.#drop([...this.#pending.splice(0), ...this.#appending.keys()]);
  }

  #drop(dropped: readonly Pending[]): void {
    for (const { tenant, content } of dropped)
      this.#onFailure(
        `an audit entry is lost: ${content.actor} (${tenant}, trace ${content.trace}): ${content.subject}`,
        new Error('It could not be stored.'),
      );
  }
}

/** Resolves when `work` has, or after the time limit. */
async function settledInTime(work: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, WAIT_MS_MAX);
  await Promise.race([work, late.promise]);
  clearTimeout(timer);
}
