import { join } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import { connectDatabase, migrateDatabase } from '@millrace/database';
import { serveEmbedded } from '@millrace/database/embedded';
import { ConsumerGroup, openLmdbLog } from '@millrace/log';
import { allPlayers, worldProjection } from '@millrace/worlds/tables';
import { EMPTY } from '../../platform/database/testing/engines.ts';

/*
 * The tables of the world in a separate process, with a database that can be stopped: it closes the socket and ends the engine.
 */

export type ToTables = { log: string; tables: string } | 'away' | 'back' | 'players';
export type FromTables = 'ready' | { players: Awaited<ReturnType<typeof allPlayers>> };

process.once('message', ({ log: folder, tables }: Exclude<ToTables, string>) => void run(folder, tables));
process.once('disconnect', () => process.exit());

async function run(folder: string, tables: string): Promise<void> {
  const log = openLmdbLog(folder);
  const socket = join(tables, 'socket');
  const serve = () => serveEmbedded(join(tables, 'data'), socket, EMPTY);
  let serving = serve();
  let closing: Promise<void> = Promise.resolve();
  await serving;
  const database = connectDatabase({ socket });
  await migrateDatabase(database, EMPTY.migrations);
  const consumer = new ConsumerGroup(log, worldProjection(database), systemClock);
  await consumer.start();
  process.on('message', (message: ToTables) => {
    if (message === 'away') closing = serving.then((embedded) => embedded.close());
    if (message === 'back') serving = closing.then(serve);
    if (message === 'players') void consumer.caughtUp().then(async () => process.send?.({ players: await allPlayers(database) }));
  });
  process.send?.('ready');
}
