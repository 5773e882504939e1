import { isDisplayName, nameKeyOf, normalizedName } from '@millrace/contracts';
import type { Database, Transaction } from '@millrace/database';
import { ApiProblem } from '@millrace/http';
import { and, asc, eq, isNull, ne } from 'drizzle-orm';
import { users } from './tables/tables.ts';

/** Maximum length of a name before a number is appended. */
const CHARACTERS_MAX = 58;
const UNIQUE_VIOLATION = '23505';

/** Names of users, unique within a tenant. A constraint of the table enforces it. */
export class UserNames {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Gives a unique name to each user that has none yet: users of external providers, and users from before names were unique. Of several users with one
   * name, all but the first get a number appended.
   */
  async completeAll(): Promise<void> {
    const unkeyed = await this.#database.drizzle
      .select({ id: users.id, tenant: users.tenant, name: users.name })
      .from(users)
      .where(isNull(users.nameKey))
      .orderBy(asc(users.createdAt));
    for (const { id, tenant, name } of unkeyed) {
      const change = await this.#free(tenant, name);
      // Another server that runs the same loop has taken it.
      await this.#unlessTaken(() =>
        this.#database.drizzle
          .update(users)
          .set(change)
          .where(and(eq(users.id, id), isNull(users.nameKey))),
      );
    }
  }

  /** @throws ApiProblem NAME_TAKEN when another user of the tenant has the name */
  async requireFree(tenant: string, name: string, own: string | null = null): Promise<void> {
    if (await this.#isTaken(tenant, name, own)) throw taken(name);
  }

  async #free(tenant: string, wanted: string): Promise<{ name: string; nameKey: string }> {
    const base = normalizedName(wanted).slice(0, CHARACTERS_MAX);
    const stem = isDisplayName(base) ? base : 'User';
    for (let number = 1; ; number++) {
      const name = number === 1 ? stem : `${stem} ${number}`;
      if (!(await this.#isTaken(tenant, name, null))) return { name, nameKey: nameKeyOf(name) };
    }
  }

  /** @throws ApiProblem NAME_TAKEN when another user of the tenant took the name after `requireFree`; then the transaction must end */
  async change(user: string, name: string, transaction: Transaction): Promise<void> {
    const change = { name, nameKey: nameKeyOf(name), updatedAt: new Date() };
    const isChanged = await this.#unlessTaken(() => transaction.update(users).set(change).where(eq(users.id, user)));
    if (!isChanged) throw taken(name);
  }

  async #isTaken(tenant: string, name: string, own: string | null): Promise<boolean> {
    const others = await this.#database.drizzle
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.tenant, tenant), eq(users.nameKey, nameKeyOf(name)), own === null ? undefined : ne(users.id, own)))
      .limit(1);
    return others.length > 0;
  }

  /** @returns false when another user took the name at the same moment */
  async #unlessTaken(write: () => Promise<unknown>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      if ((error as { cause?: { code?: string } }).cause?.code === UNIQUE_VIOLATION) return false;
      throw error;
    }
  }
}

function taken(name: string): ApiProblem {
  return new ApiProblem(
    'NAME_TAKEN',
    `Another user has the name "${name}", or one that differs in case or spaces only.`,
    'Choose another name.',
  );
}
