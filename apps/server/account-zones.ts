import { join } from 'node:path';
import { publishAccount } from '@millrace/accounts';
import { type RandomNumbers, ZoneHost } from '@millrace/kernel';
import { systemClock } from '@millrace/platform/clock';
import type { Settings } from '@millrace/platform/config';
import { type EventLog, openLmdbLog, openSpool } from '@millrace/platform/log';
import type { FanOut } from '@millrace/platform/redis';
import { openFileSnapshots, openLmdbSnapshots } from '@millrace/platform/snapshots';
import type { Logger } from '@millrace/platform/telemetry';

const MIB = 1024 * 1024;

export interface AccountZones {
  readonly host: ZoneHost;
  readonly log: EventLog;
  stop(): Promise<void>;
}

/** The zones of accounts, with a log of their own: what users do is nothing the market’s readers should have to read. */
export function openAccountZones(
  settings: Settings,
  feed: Pick<FanOut, 'publish'>,
  random: RandomNumbers,
  { logger, onLogFailure }: { logger: Logger; onLogFailure: (message: string) => void },
): AccountZones {
  const folder = join(settings.data, 'accounts');
  const log = openLmdbLog(join(folder, 'log'));
  const spool = openSpool(join(folder, 'spool'), settings.log.spoolMiB * MIB, (message) => logger.error(message));
  const hot = openLmdbSnapshots(join(folder, 'snapshots', 'hot'));
  const cold = openFileSnapshots(join(folder, 'snapshots', 'cold'));
  const host = new ZoneHost({
    log,
    spool,
    hot,
    cold,
    clock: systemClock,
    random,
    zonesMax: settings.accounts.openMax,
    onDecided: (batch, state) => publishAccount(feed, batch, state),
    onFailure: (failure) => {
      if (failure.kind === 'log') onLogFailure(failure.message);
      logger.error(failure, 'an account zone failed');
    },
  });
  return {
    host,
    log,
    stop: async () => {
      await host.close();
      spool.close();
      await log.close();
      await hot.close();
    },
  };
}
