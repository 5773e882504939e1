import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import type pg from 'pg';

type InTransaction = NodePgDatabase['transaction'];

/**
 * Runs transactions on the connections of a pool. Drizzle alone never releases a connection whose `begin` fails. A connection is closed when its `begin`,
 * `commit` or `rollback` fails, because a transaction may still be open on it.
 */
export function transactionsOf(pool: pg.Pool): InTransaction {
  return async (work, config) => {
    const client = await pool.connect();
    const refused: { by?: unknown } = {};
    let isSound = false;
    try {
      const result = await drizzle(client).transaction(
        (transaction) =>
          work(transaction).catch((error) => {
            refused.by = error;
            throw error;
          }),
        config,
      );
      isSound = true;
      return result;
    } catch (error) {
      // Another error is that of `begin`, `commit` or `rollback`.
      isSound = error === refused.by;
      throw error;
    } finally {
      client.release(!isSound);
    }
  };
}
