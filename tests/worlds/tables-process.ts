import { join } from 'node:path';
import { systemClock } from '@millrace/platform/clock';
import { openPglite } from '@millrace/platform/database';
import { ConsumerGroup, openLmdbLog, type Projection } from '@millrace/platform/log';
import { allPlayers, worldProjection } from '@millrace/worlds/tables';

/*
 * The world’s tables in a process of their own, as the server has them, with a database that can be taken away.
 */

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');

export type ToTables = { log: string; tables: string } | 'away' | 'back' | 'players';
export type FromTables = 'ready' | { players: Awaited<ReturnType<typeof allPlayers>> };

let isAway = false;
process.once('message', ({ log: folder, tables }: Exclude<ToTables, string>) => void run(folder, tables));
process.once('disconnect', () => process.exit());

async function run(folder: string, tables: string): Promise<void> {
  const log = openLmdbLog(folder);
  const database = await openPglite(tables, MIGRATIONS);
  const table = worldProjection(database);
  const projection: Projection = {
    ...table,
    apply: (batches, read) => (isAway ? Promise.reject(new Error('the database is away')) : table.apply(batches, read)),
  };
  const consumer = new ConsumerGroup(log, projection, systemClock);
  await consumer.start();
  process.on('message', (message: ToTables) => {
    if (message === 'away' || message === 'back') isAway = message === 'away';
    if (message === 'players') void consumer.caughtUp().then(async () => process.send?.({ players: await allPlayers(database) }));
  });
  process.send?.('ready');
}
