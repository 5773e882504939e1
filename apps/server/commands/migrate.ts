import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import { CONTRACTS, type TopicContract } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { createLogger } from '@millrace/telemetry';
import { openDataFolder } from '../data-folder.ts';
import { withDatabase } from '../database/server-database.ts';
import { MODULES } from '../modules.ts';
import { moveTopics } from '../move/move-topics.ts';
import type { MovingTopic } from '../move/moving-topic.ts';
import { topicLogOf } from '../topic-logs.ts';
import { writeOutput } from './output.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

/** Moves the logs of an installation from LMDB files to the Kafka of the configuration. No server may run. It can be interrupted and run again. */
export async function migrate(flags: ServingFlags): Promise<void> {
  const settings = settingsFor(flags);
  if (settings.log.engine !== 'kafka')
    throw new UserError(
      'log.engine is "lmdb" in the configuration',
      'Set it to "kafka", and name log.brokers: the server then refuses to start until its logs are moved.',
    );
  if (!existsSync(settings.data))
    throw new UserError(`there is no data in ${settings.data}`, 'Name the data folder of the installation with --data.');
  const logger = createLogger(settings.logging.level);
  const { series, ready } = await openDataFolder(settings, CONTRACTS, logger);
  const stopped = ready();
  try {
    const print = (line: string) => writeOutput(`${line}\n`);
    const work = async (database: Database) => {
      const { moved, before } = await moveTopics(topicsOf(settings), {
        ...{ database, series, logger, print, spoolMiB: settings.log.spoolMiB },
        isDatabaseShared: settings.database.url !== undefined,
      });
      if (moved > 0) print('All logs are in Kafka. The server can be started.');
      else print(before > 0 ? 'All logs are in Kafka already. The server can be started.' : 'There is no log to move.');
    };
    // A server that was killed soon after its first start has a log, but no database yet.
    await withDatabase(settings, logger, work, 'create');
  } finally {
    stopped();
    await series.close();
  }
}

/** The topics of all modules, of disabled ones too. */
function topicsOf(settings: Settings): MovingTopic[] {
  return MODULES.flatMap(({ contract, placements = {}, shards }) =>
    Object.entries<TopicContract>(contract.topics ?? {}).map(([name, { folder }]) => {
      const log = topicLogOf(settings, name, shards?.(settings)[name]);
      if (log.engine !== 'kafka') throw new TypeError(`the topic "${name}" is not in Kafka by the configuration`);
      return { name, folder: join(settings.data, folder), placement: placements[name], log };
    }),
  );
}
