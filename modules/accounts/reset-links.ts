import { randomBytes, randomUUID } from 'node:crypto';
import type { ResetLink } from '@millrace/contracts';
import type { Database, Transaction } from '@millrace/database';
import { and, eq, like } from 'drizzle-orm';
import { users, userVerifications } from './tables/tables.ts';

/** Prefix of the identifier of a reset link in the table of verification tokens, by which better-auth finds it. */
const IDENTIFIER = 'reset-password:';
const TOKEN_BYTES = 32;
/** One day: the recipient may be asleep when the link is created. */
const LINK_MS = 86_400_000;

/**
 * Creates a single-use link to set a new password, for installations without a mail server. Earlier links of the user become invalid. Two-factor
 * authentication stays as it is.
 * @param baseUrl address of the console
 */
export async function makeResetLink(transaction: Transaction, user: string, baseUrl: string): Promise<ResetLink> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const now = Date.now();
  const expiresAt = now + LINK_MS;
  // One after another, so that the last one deletes all others.
  await transaction.select({ id: users.id }).from(users).where(eq(users.id, user)).for('no key update');
  await transaction
    .delete(userVerifications)
    .where(and(eq(userVerifications.value, user), like(userVerifications.identifier, `${IDENTIFIER}%`)));
  await transaction.insert(userVerifications).values({
    id: randomUUID(),
    identifier: IDENTIFIER + token,
    value: user,
    expiresAt: new Date(expiresAt),
    createdAt: new Date(now),
    updatedAt: new Date(now),
  });
  return { link: `${baseUrl}/reset-password?token=${token}`, expiresAt };
}

/** The user with an address, whatever its tenant; null when there is none. */
export async function findUser(
  database: Database,
  email: string,
): Promise<{ id: string; name: string; tenant: string; disabled: boolean } | null> {
  const [found] = await database.drizzle
    .select({ id: users.id, name: users.name, tenant: users.tenant, disabled: users.disabled })
    .from(users)
    .where(eq(users.email, email.toLowerCase()));
  return found ?? null;
}
