import { systemClock } from '@millrace/base/clock';
import { type Settings, serverId } from '@millrace/config';
import { eventConversion, type ModuleContract } from '@millrace/contracts';
import { OpenStreams, ResponseCache } from '@millrace/http';
import { openSmtp } from '@millrace/mail';
import { ALL_ROLES } from '@millrace/module';
import type { SharedContext } from '@millrace/module/runtime';
import { announcements, connectRedis, fanOut, type Redis, singleServer } from '@millrace/redis';
import { secretNumbers, ZONE_RANDOM } from '@millrace/secrets/zone-numbers';
import type { SeriesStore } from '@millrace/series';
import { Hub, type InitialEvent } from '@millrace/streams';
import type { Logger } from '@millrace/telemetry';
import { startDatabase } from './database/server-database.ts';
import { ownSecrets, sharedSecrets } from './secrets.ts';

/** Delay of the database start in demo mode, ms: the first players and charts then do not share the processor with it. */
const DATABASE_AFTER_MS = 4_000;
/** Prefixes of the channels that all servers of the installation publish to. */
const FAN_OUT_PREFIXES = ['users:', 'tenants:'];

/** Services that the modules of a process share. */
export interface Services {
  readonly shared: SharedContext;
  /** Null without Redis. */
  readonly redis: Redis | null;
  /** Closes the services. Close modules and topics first. */
  close(): Promise<void>;
}

interface ServicesOptions {
  /** Contracts of all modules. */
  readonly contracts: readonly ModuleContract[];
  readonly series: SeriesStore;
  readonly logger: Logger;
  /** Initial events of a channel. */
  readonly initial: (channel: string) => Iterable<InitialEvent>;
}

export async function openServices(settings: Settings, { contracts, series, logger, initial }: ServicesOptions): Promise<Services> {
  const own = ownSecrets(settings);
  const random = secretNumbers(await own.secret(ZONE_RANDOM));
  const hub = new Hub({
    clock: systemClock,
    epoch: Date.now().toString(36),
    historyEvents: settings.streams.historyEvents,
    initial,
    convert: eventConversion(contracts),
  });
  // The consumer groups of a log in Kafka are in the database.
  const isDatabaseLate = settings.demo && settings.log.engine === 'lmdb';
  const database = startDatabase(settings.data, settings.database.url, isDatabaseLate ? DATABASE_AFTER_MS : 0, logger);
  const mail = settings.mail.url === undefined ? null : await openSmtp(settings.mail.url, settings.mail.from);
  const redis =
    settings.redis.url === undefined
      ? null
      : await connectRedis(settings.redis.url, (error) => logger.warn({ message: error.message }, 'Redis is unavailable'));
  const fanned = fanOut(hub, redis, FAN_OUT_PREFIXES);
  return {
    shared: {
      settings,
      clock: systemClock,
      logger,
      roles: ALL_ROLES,
      hub,
      fanOut: fanned,
      responses: new ResponseCache(() => performance.now()),
      streams: new OpenStreams(settings.streams.connectionsMax, () => Date.now()),
      series,
      serverId: settings.database.url === undefined ? null : serverId(settings.data),
      database: { address: database.address, connection: database.database, ready: database.ready },
      ownSecrets: own,
      sharedSecrets: sharedSecrets(settings, database.database),
      random,
      mail,
      // connectRedis reports that Redis is unavailable; other servers then read revocations from the database.
      announcements: (name, onMessage) => (redis ? announcements(redis, name, onMessage, () => {}) : singleServer),
    },
    redis,
    close: async () => {
      mail?.close();
      fanned.close();
      redis?.disconnect();
      await database.stop();
    },
  };
}
