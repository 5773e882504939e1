import type pg from 'pg';

/** Longest time that a connection is in use once the process stops, ms. */
const USE_MS_MAX = 3_000;
/** The same after a connection was in use for longer: the database does not respond. Also the time limit of a new connection then. */
const UNRESPONSIVE_MS_MAX = 1_000;
const CHECK_MS = 100;

/** A pool of connections that a database without responses cannot keep from closing. */
export interface StoppingPool {
  /** From now on, connections that are in use for too long are ended: their queries are rejected. */
  stopping(): void;
  /** Whether such a connection was ended. */
  readonly isUnresponsive: boolean;
}

/** Tracks the connections of a pool that are in use. Call it before the pool has any. @param useMsMax longest time that one is in use, ms */
export function trackPool(pool: pg.Pool, useMsMax = USE_MS_MAX): StoppingPool {
  const inUse = new Map<pg.PoolClient, number>();
  pool.on('acquire', (client) => inUse.set(client, performance.now()));
  pool.on('release', (_error, client) => inUse.delete(client));
  let checking: NodeJS.Timeout | null = null;
  let stoppingAt = 0;
  let isUnresponsive = false;
  const check = () => {
    const now = performance.now();
    for (const [client, acquiredAt] of inUse) {
      if (now - Math.max(acquiredAt, stoppingAt) < (isUnresponsive ? UNRESPONSIVE_MS_MAX : useMsMax)) continue;
      isUnresponsive = true;
      pool.options.connectionTimeoutMillis = UNRESPONSIVE_MS_MAX;
      inUse.delete(client);
      // With a query in progress it closes the connection at once.
      void (client as unknown as pg.Client).end().catch(() => {});
    }
  };
  return {
    stopping: () => {
      if (checking) return;
      stoppingAt = performance.now();
      checking = setInterval(check, CHECK_MS).unref();
    },
    get isUnresponsive() {
      return isUnresponsive;
    },
  };
}
