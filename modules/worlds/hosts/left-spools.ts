import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import { messageOf, type RandomNumbers, type SnapshotStore, within, ZoneHost } from '@millrace/kernel';
import { type EventLog, openSpool } from '@millrace/log';
import type { Logger } from '@millrace/telemetry';

const MIB = 1024 * 1024;
/** How long a start waits for the log to accept the events on an earlier run’s spool, ms. */
const SPOOL_MS_MAX = 20_000;

const NO_SNAPSHOTS: SnapshotStore = { save: async () => {}, list: async () => [], load: () => Promise.reject(new Error('there is none')) };

/** Drains the spools of an earlier run’s hosts to the log: events of zones that no other host has claimed since. */
export async function drainLeftSpools(
  folder: string,
  { log, spoolMiB, random, logger }: { log: EventLog; spoolMiB: number; random: RandomNumbers; logger: Logger },
): Promise<void> {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith('zones-'))) {
    const spool = openSpool(join(folder, name), spoolMiB * MIB, (message) => logger.error({ spool: name }, message));
    if (spool.batches > 0) {
      logger.warn({ spool: name, batches: spool.batches }, 'an earlier run left events on a spool; they are written to the log first');
      const onFailure = (failure: object) => logger.warn(failure);
      const host = new ZoneHost({ log, spool, hot: NO_SNAPSHOTS, cold: NO_SNAPSHOTS, clock: systemClock, random, onFailure });
      await within(systemClock, SPOOL_MS_MAX, 'the log', host.recorded()).catch((error) =>
        logger.error({ spool: name, batches: spool.batches, message: messageOf(error) }, 'a spool could not be written; it is kept'),
      );
      await host.close();
    }
    spool.close();
  }
}
