import type { Database } from '@millrace/database';
import { eq } from 'drizzle-orm';
import { pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import type { SecretStore } from './secret-store.ts';

/** Sealed secrets that all servers of the installation share. The master key is not in the database. */
export const sealedSecrets = pgTable('sealed_secrets', {
  name: text('name').primaryKey(),
  sealed: text('sealed').notNull(),
  changedAt: timestamp('changed_at', { withTimezone: true, mode: 'date' }).notNull(),
});

/** Secret store in the database. */
export function tableSecrets({ drizzle }: Database): SecretStore {
  const read = async (name: string) => {
    const [row] = await drizzle.select({ sealed: sealedSecrets.sealed }).from(sealedSecrets).where(eq(sealedSecrets.name, name));
    return row?.sealed ?? null;
  };
  return {
    read,
    add: async (name, sealed) => {
      await drizzle.insert(sealedSecrets).values({ name, sealed, changedAt: new Date() }).onConflictDoNothing();
      return (await read(name)) ?? sealed;
    },
    replace: async (name, sealed) => {
      const changedAt = new Date();
      await drizzle
        .insert(sealedSecrets)
        .values({ name, sealed, changedAt })
        .onConflictDoUpdate({ target: sealedSecrets.name, set: { sealed, changedAt } });
    },
    names: async () => (await drizzle.select({ name: sealedSecrets.name }).from(sealedSecrets)).map(({ name }) => name),
  };
}
