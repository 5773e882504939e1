import type { Database } from '@millrace/database';
import { sql } from 'drizzle-orm';
import { usedCodes } from './tables/tables.ts';

/** A code is valid in its own period of 30 s, the one before and the one after. */
const VALID_S = 90;

/**
 * Accepts each code of an authenticator once, on all servers together, so that an observed code is useless (RFC 6238, section 5.2).
 * @returns whether this is its first use
 */
export async function consumeCode({ drizzle }: Database, user: string, code: string): Promise<boolean> {
  const valid = sql`now() - make_interval(secs => ${VALID_S})`;
  await drizzle.execute(sql`delete from ${usedCodes} where used_at < ${valid}`);
  const { rows } = await drizzle.execute(sql`
    insert into ${usedCodes} (user_id, code) values (${user}, ${code}) on conflict do nothing returning code`);
  return rows.length > 0;
}
