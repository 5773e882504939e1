import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { type AccountSettings, type Accounts, demoRoutes, identifyDemo, mailerOver, openAccounts } from '@millrace/accounts';
import { Collector, collectorRoutes, type SourceParts } from '@millrace/collector';
import { ENDPOINTS, type InstrumentId, parseChannel, type Source, type SourceConfig, type Trade } from '@millrace/contracts';
import { type EventBatch, keyOf, messageOf, within, type ZoneAddress, ZoneHost, zoneAddress } from '@millrace/kernel';
import {
  CandleWatch,
  historyForRequests,
  type Instrument,
  initialEvents,
  instrumentZone,
  judgeTrade,
  marketRoutes,
  mendRoutes,
  publishBatch,
  publishRemade,
  seriesProjection,
  udfRoutes,
} from '@millrace/market';
import { AlertWatch, type Consumer, Flow, operationsEvents, operationsRoutes, publishOperations } from '@millrace/operations';
import { systemClock } from '@millrace/platform/clock';
import type { Settings } from '@millrace/platform/config';
import { failureReason, probeDatabase } from '@millrace/platform/database';
import { HealthChecks } from '@millrace/platform/health';
import { type HttpServer, IdempotencyKeys } from '@millrace/platform/http';
import { ConsumerGroup, openLmdbLog, openSpool } from '@millrace/platform/log';
import { openSmtp, type Post } from '@millrace/platform/mail';
import { announcements, connectRedis, fanOut, nobodyElse } from '@millrace/platform/redis';
import { coalesced } from '@millrace/platform/resilience';
import { secretNumbers } from '@millrace/platform/secrets/zone-numbers';
import { openDuckDbSeries, type SeriesStore } from '@millrace/platform/series';
import { openFileSnapshots, openLmdbSnapshots } from '@millrace/platform/snapshots';
import { Hub } from '@millrace/platform/streams';
import { createLogger, createMetrics, type Logger } from '@millrace/platform/telemetry';
import { PlayerOwners } from '@millrace/worlds/tables';
import { type AccountZones, openAccountZones } from './account-zones.ts';
import { BehindGateways } from './behind-gateways.ts';
import { overtakenBy, ownConsumer, projectorConsumer } from './consumers.ts';
import { startDatabase } from './database/server-database.ts';
import { openHttpServer, serveWatchers } from './http-server.ts';
import { InstrumentZones } from './instrument-zones.ts';
import { registerMetrics, registerWorldMetrics } from './metrics.ts';
import { OutboxModes } from './outbox-modes.ts';
import { endOrphans } from './own-processes.ts';
import { keepPrivate } from './private-files.ts';
import { ProjectorHandle } from './projector/projector-handle.ts';
import { envelopeOf, ownSecrets, sharedSecrets, ZONE_RANDOM } from './secrets.ts';
import { serverId } from './server-id.ts';
import { StorageWatch } from './storage-watch.ts';
import { requireSoundStores } from './stores.ts';
import { UserError } from './user-error.ts';
import { startWorlds, WORLD_SOCKET_PATH, WORLDS_FOLDER, type Worlds } from './worlds/worlds.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const HOUR_MS = 3_600_000;
/** How often old events and old days are looked for. */
const HOUSEKEEPING_MS = 10 * 60_000;
/** Rows that are on their way to the store are waited for by a reader, but not for ever: then it gets what is there. */
const CATCH_UP_MS = 2_000;
/** Longest that mending an instrument waits for the store to have what was decided. */
const MEND_MS = 10_000;
/** The tables may come a little later; whoever plays or trades when the server is ready should not share the processor with them. */
const DATABASE_AFTER_MS = 4_000;
/** How often the stored candles of one instrument are compared with its trades. */
const CANDLE_CHECK_MS = 60_000;
/** How often alerts are looked for and rates are taken. */
const WATCH_MS = 1_000;

export interface Running {
  readonly url: string;
  /** Lets the first administrator in, once; null when there is one, or this is a demo. */
  ownerLink(): Promise<string | null>;
  /** Stops intake, drains, snapshots, flushes, closes. */
  stop(): Promise<void>;
  /** What a replay reads its statistics from. */
  readonly collector: Collector;
  readonly host: ZoneHost;
  readonly consumer: ConsumerGroup;
  readonly series: SeriesStore;
}

export interface StartOptions {
  readonly settings: Settings;
  /** The console’s built files. */
  readonly console: string;
  readonly adjust?: (config: SourceConfig, parts: SourceParts) => SourceParts;
  readonly onSource?: (source: Source) => void;
}

/** Starts every role in this process, from the ground up: record, zones, projections, collector, door. */
export async function startPlatform({ settings, console: consoleFolder, adjust, onSource }: StartOptions): Promise<Running> {
  const logger = createLogger(settings.logging.level);
  const metrics = createMetrics();
  const opened = requireWritable(settings.data);
  if (opened > 0)
    logger.warn(
      { folder: settings.data, opened },
      'other users of this machine had access to files of the data folder; they have none any more',
    );

  // Only one Millrace at a time has the series open, so nobody writes to the stores while they are checked.
  const series = await openSeries(settings);
  for (const data of [settings.data, join(settings.data, WORLDS_FOLDER)]) await endOrphans(data, logger);
  const started = await requireSoundStores(settings.data, logger);
  const log = openLmdbLog(join(settings.data, 'log'));
  const spool = openSpool(join(settings.data, 'spool'), settings.log.spoolMiB * MIB, (message) => logger.error(message));
  const hot = openLmdbSnapshots(join(settings.data, 'snapshots', 'hot'));
  const cold = openFileSnapshots(join(settings.data, 'snapshots', 'cold'));

  let collector: Collector | null = null;
  let worlds: Worlds | null = null;
  let accounts: Accounts | null = null;
  let accountZones: AccountZones | null = null;
  let http: HttpServer | null = null;
  const flow = new Flow();
  const alerts = new AlertWatch(settings.alerts);
  const consumers: Consumer[] = [];
  const operations = { consumers, flow, alerts: () => alerts.list() };
  const decided = new Map<string, number>();
  const stateOf = (id: InstrumentId) => host.view(zoneAddress('instrument', id))?.state as Instrument | undefined;
  function* instruments(): Generator<readonly [InstrumentId, Instrument]> {
    for (const address of host.addresses('instrument')) {
      const id = keyOf(address) as InstrumentId;
      const state = stateOf(id);
      if (state) yield [id, state];
    }
  }
  const hub: Hub = new Hub({
    clock: systemClock,
    epoch: Date.now().toString(36),
    historyEvents: settings.streams.historyEvents,
    initial: (name) => {
      const channel = parseChannel(name);
      if (channel?.kind === 'world') return worlds?.events() ?? [];
      if (channel?.kind === 'operations') return operationsEvents(operations);
      if (channel?.kind === 'users') return accounts?.events(channel.user) ?? [];
      if (channel?.kind === 'sources')
        return (collector?.sources() ?? []).map((source) => ({ event: 'source', key: source.id, data: source.describe() }));
      return channel ? initialEvents(channel, instruments, stateOf) : [];
    },
  });
  const modes = new OutboxModes(() => performance.now());
  const outboxOf = (name: string, { outbox }: ReturnType<ZoneHost['stats']>) => ({
    name,
    mode: modes.modeOf(name, outbox),
    spooledBytes: outbox.spooledBytes,
  });
  const storage = new StorageWatch({
    folder: settings.data,
    spoolMiB: settings.log.spoolMiB,
    rules: settings.alerts,
    outboxes: () => [
      outboxOf('market', host.stats()),
      ...(accountZones ? [outboxOf('accounts', accountZones.host.stats())] : []),
      ...(worlds?.stats.hosts() ?? []).map(({ id, outbox, spoolBytes }) => ({
        name: id,
        mode: outbox,
        spooledBytes: spoolBytes,
      })),
    ],
  });
  const random = secretNumbers(await ownSecrets(settings).secret(ZONE_RANDOM));
  const host: ZoneHost = new ZoneHost({
    log,
    spool,
    hot,
    cold,
    clock: systemClock,
    random,
    onDecided: (batch: EventBatch, state) => {
      for (const { type } of batch.events) decided.set(type, (decided.get(type) ?? 0) + 1);
      // Before anyone is told: whoever asks because of that gets what was decided.
      http?.cache.invalidate(`instrument:${keyOf(batch.zone)}`);
      http?.cache.invalidate('instruments');
      publishBatch(hub, batch, state);
      collector?.react(batch);
    },
    onFailure: (failure) => {
      if (failure.kind === 'log') storage.noteFailure('market', failure.message);
      logger.error(failure, 'a zone failed');
    },
    onRecovered: (zone, steps) => logger.debug({ zone, steps }, 'a zone is back'),
  });
  host.register(instrumentZone(settings.market));
  const stored = seriesProjection(series, ({ instruments, remade }) => {
    // What was answered between the decision and this was made without it.
    for (const id of instruments) http?.cache.invalidate(`instrument:${id}`);
    publishRemade(hub, remade);
  });
  const consumer = new ConsumerGroup(log, stored, systemClock, (message) => logger.warn(message));

  await host.flushed();
  await consumer.start();
  const addresses = new Map<InstrumentId, ZoneAddress>();
  const market = {
    tell: (instrument: InstrumentId, command: unknown, trace: string) => {
      let address = addresses.get(instrument);
      if (address === undefined) {
        address = zoneAddress('instrument', instrument);
        addresses.set(instrument, address);
      }
      return host.tell(address, command, { correlation: trace });
    },
    lastTrade: (instrument: InstrumentId) => stateOf(instrument)?.last ?? null,
    gapsOf: (instrument: InstrumentId) => stateOf(instrument)?.quality.gaps ?? [],
    isKnown: (instrument: InstrumentId, trade: Trade) => {
      const state = stateOf(instrument);
      return state !== undefined && judgeTrade(state.seen, trade, false) !== 'new';
    },
    filesOf: (instrument: InstrumentId) => stateOf(instrument)?.files ?? {},
  };
  collector = new Collector({
    sources: settings.sources,
    market,
    clock: systemClock,
    onChange: (source) => {
      if (hub.isWanted('sources')) hub.publish('sources', 'conflated', 'source', source.id, source);
      onSource?.(source);
    },
    onFailure: (message) => logger.warn(message),
    recorded: (source) => series.instruments().filter((id) => id.startsWith(`${source}:`)),
    symbolOf: (id) => stateOf(id)?.listed?.symbol,
    onInstrument: (listed) => instrumentZones.take(listed),
    ...(adjust && { adjust }),
  });
  const instrumentZones = new InstrumentZones(host, (message) => logger.error(message));
  await instrumentZones.openAll(collector);
  const database = startDatabase(settings.data, settings.database.url, settings.demo ? DATABASE_AFTER_MS : 0, logger);
  const post = settings.mail.url === undefined ? null : await openSmtp(settings.mail.url, settings.mail.from);
  const redis =
    settings.redis.url === undefined
      ? null
      : await connectRedis(settings.redis.url, (error) => logger.warn({ message: error.message }, 'Redis cannot be reached'));
  const feed = fanOut(hub, redis, ['users:', 'tenants:']);
  accountZones = settings.demo
    ? null
    : openAccountZones(settings, feed, random, { logger, onLogFailure: (message) => storage.noteFailure('accounts', message) });
  accounts =
    accountZones &&
    accountsOf(settings, logger, {
      database: database.database,
      secret: (name) => sharedSecrets(settings, database.database).secret(name),
      post,
      hub,
      feed,
      host: accountZones.host,
      instruments: () => collector?.instruments.map(({ id }) => id) ?? [],
      onEnded: (whose) => {
        http?.endStreams(whose);
        if ('user' in whose) void worlds?.userChanged(whose.user);
      },
      // connectRedis reports that Redis is unavailable; other servers then read the revocation from the database.
      others: (heard) => (redis ? announcements(redis, 'revocations', heard, () => {}) : nobodyElse),
    });
  const snapshots =
    accounts &&
    accountZones &&
    new ConsumerGroup(accountZones.log, accounts.worker, systemClock, (message) => logger.warn(message), failureReason);
  if (snapshots && accountZones) consumers.push(ownConsumer(snapshots, accountZones.log, 'accounts'));
  const projector = settings.worlds.enabled ? new ProjectorHandle(join(settings.data, WORLDS_FOLDER), database.address, logger) : null;
  void database.ready.then(() => projector?.start());
  const mayPlay = async (user: string) => {
    try {
      return (await accounts?.may(user, 'world:play')) ?? true;
    } catch (error) {
      // Play does not stop because tables are away: the token is ours, and who was kept out meanwhile is sent away when that is told.
      logger.warn({ reason: failureReason(error) }, 'a player was let in whose user cannot be looked up');
      return true;
    }
  };
  const owners = accounts && new PlayerOwners(database.database, settings.worlds.playersPerUser);
  worlds = projector
    ? await startWorlds(settings, { logger, projector, hub, mayPlay, owners, onFlow: (counts) => flow.add(counts) })
    : null;
  consumers.push(ownConsumer(consumer, log, 'market'), ...(projector && worlds ? [projectorConsumer(projector, worlds.log)] : []));
  const candles = new CandleWatch(
    series,
    () => collector?.instruments.map(({ id }) => id) ?? [],
    (difference) => logger.error(difference, 'a stored candle is not what its trades make'),
  );
  const checking = setInterval(() => {
    candles.checkNext().catch((error: unknown) => logger.warn({ err: error }, 'candles could not be checked'));
  }, CANDLE_CHECK_MS);
  const watching = setInterval(() => {
    // Every zone of this host is an instrument.
    flow.add([...decided].map(([type, count]) => [`instrument/${type}`, count] as const));
    decided.clear();
    flow.turn();
    const lags = consumers.map((one) => ({ group: one.group, lag: one.status().lag, overtaken: overtakenBy(one.status()) }));
    const nobody = { ccu: 0, left: 0, duplicates: [], zones: [], answered: 0, failed: 0 };
    for (const alert of alerts.note({
      time: Date.now(),
      lags,
      storage: storage.sample(),
      candles: candles.differing(),
      ...(worlds?.sample() ?? nobody),
    }))
      if (alert.endedAt !== null) logger.info(alert, 'an alert is over');
      else logger[alert.severity === 'critical' ? 'error' : 'warn'](alert, 'an alert');
    publishOperations(hub, operations);
  }, WATCH_MS);
  // A store that cannot be written now does not keep the server from serving what there is.
  await withinTime(consumer.caughtUp());

  const behind = new BehindGateways(settings.gateway.reachedAt, redis, () => ({
    open: http?.streams.size ?? 0,
    worldPort: worlds?.port ?? null,
  }));
  const probe = probeDatabase(database.address);
  const health = new HealthChecks(
    [
      // A demo has no users to look up.
      { name: 'database', isRequired: accounts !== null, check: () => probe.check() },
      ...(redis ? [{ name: 'redis', isRequired: false, check: () => redis.ping() }] : []),
      ...storage.checks(),
      ...(worlds ? [worlds.check] : []),
    ],
    () => Date.now(),
    (state) => logger[state.status === 'ok' ? 'info' : 'error'](state, 'a health check changed'),
  );
  const readyParts = () => ({ log: 'ok', zones: `${host.stats().zones} open`, series: 'ok', outbox: host.stats().outbox.mode });
  http = await openHttpServer(settings, {
    redis,
    logger,
    console: consoleFolder,
    sockets: worlds ? { [WORLD_SOCKET_PATH]: worlds.upgrade } : {},
    metrics: () => metrics.scrape(),
    identify: accounts?.identify ?? identifyDemo,
    idempotency: new IdempotencyKeys(database.database, envelopeOf(settings)),
    vouched: (request) => {
      const vouched = behind.vouched(request);
      if (vouched?.principal) accounts?.requireNotRevoked(vouched.principal);
      return vouched;
    },
    onAuditEvent: (event) =>
      accounts ? accounts.onAuditEvent(event) : logger.info({ audit: event.detail, trace: event.trace }, event.route),
    register: (door) => {
      const { routes, app, traffic } = door;
      if (accounts) accounts.register(routes, traffic);
      else demoRoutes(routes);
      // However many wait for it while it hangs.
      const caughtUp = coalesced(() => host.flushed().then(() => consumer.caughtUp()));
      const reads = {
        series: historyForRequests(series, systemClock, (message) => logger.error(message)),
        instrument: stateOf,
        instruments,
        caughtUp: () => withinTime(caughtUp()),
      };
      if (collector) collectorRoutes(routes, collector);
      marketRoutes(routes, reads);
      udfRoutes(app, reads);
      mendRoutes(routes, {
        series,
        now: () => Date.now(),
        archiveAfterDays: settings.series.archiveAfterDays,
        view: (id) => {
          const address = zoneAddress('instrument', id);
          const view = host.view(address);
          return view && { state: view.state as Instrument, seq: view.seq, isIdle: host.waiting(address) === 0 };
        },
        settled: () =>
          within(
            systemClock,
            MEND_MS,
            'the history',
            host.recorded().then(() => consumer.caughtUp()),
          ),
        submit: (id, command) => host.submit(zoneAddress('instrument', id), command, { durable: true }),
      });
      operationsRoutes(routes, {
        ...operations,
        audit: (what, detail) => logger.info({ audit: detail }, what),
      });
      worlds?.register(routes);
      routes.list(
        ENDPOINTS.listServers,
        ({ address, node }) => address ?? node ?? '',
        () => [behind.describe()],
      );
      routes.handle(ENDPOINTS.live, () => ({ status: 'ok' as const, parts: {}, checks: [] }));
      routes.handle(ENDPOINTS.ready, ({ reply }) => {
        const report = health.report();
        if (report.status !== 'ok') void reply.code(503);
        return { ...report, parts: { ...readyParts(), ...report.parts } };
      });
      serveWatchers(door, settings, {
        hub,
        logger,
        instrumentExists: (id) => stateOf(id) !== undefined,
        zoneExists: (zone) => worlds?.zones.includes(zone) ?? false,
      });
    },
  });
  registerMetrics(metrics, { host, log, consumers, hub, collector, http });
  if (worlds) registerWorldMetrics(metrics, worlds.stats);
  if (accounts) {
    await database.ready;
    await accounts.begin(settings.publicUrl ?? http.url);
    await snapshots?.start();
    await health.run();
  }
  collector.start();
  await behind.begin((name) => sharedSecrets(settings, database.database).secret(name));
  const stopHousekeeping = keepHouse(settings, { consumers, series, logger });
  const stopWatchingStart = started.ready();

  const parts = collector;
  return {
    url: http.url,
    ownerLink: () => accounts?.ownerLink() ?? Promise.resolve(null),
    collector: parts,
    host,
    consumer,
    series,
    // Out of routing, requests finished, sources and world stopped, streams told; what all of them use is closed last.
    stop: async () => {
      health.stopping();
      await behind.end();
      await http.drain();
      stopHousekeeping();
      instrumentZones.stop();
      clearInterval(watching);
      clearInterval(checking);
      parts.stop();
      await worlds?.stop();
      await http.close();
      await projector?.stop();
      await snapshots?.stop();
      await accountZones?.stop();
      accounts?.close();
      await host.close();
      await withinTime(consumer.caughtUp());
      await consumer.stop();
      await series.close();
      spool.close();
      await log.close();
      await hot.close();
      post?.close();
      feed.close();
      health.close();
      redis?.disconnect();
      await probe.close();
      await database.stop();
      stopWatchingStart();
    },
  };
}

/** @returns how many files and folders other users of the machine had access to */
function requireWritable(folder: string): number {
  try {
    const opened = keepPrivate(folder);
    accessSync(folder, constants.W_OK);
    return opened;
  } catch (error) {
    throw new UserError(
      `the data folder ${folder} cannot be written: ${messageOf(error)}`,
      'Choose another with --data, or mend its permissions.',
    );
  }
}

function accountsOf(
  settings: Settings,
  logger: Logger,
  {
    post,
    ...parts
  }: { post: Post | null } & Pick<AccountSettings, 'database' | 'secret' | 'hub' | 'feed' | 'host' | 'instruments' | 'onEnded' | 'others'>,
): Accounts {
  const onFailure = (message: string, detail: unknown) => logger.error({ reason: failureReason(detail) }, message);
  return openAccounts({
    ...parts,
    clock: systemClock,
    mailer: post && mailerOver(post, onFailure),
    providers: settings.accounts.providers,
    isOpen: settings.accounts.signUp === 'open',
    server: settings.database.url === undefined ? null : serverId(settings.data),
    isShared: settings.database.url !== undefined,
    sessionHours: settings.accounts.sessionHours,
    keyDays: { usual: settings.accounts.keyDays, most: settings.accounts.keyDaysMax },
    needsSecondFactor: settings.accounts.secondFactor === 'operators',
    guests: settings.worlds.guests ? ['world:play'] : [],
    onFailure,
  });
}

/** Another process has the history of the data folder open. */
export class DataFolderInUse extends UserError {
  constructor(folder: string) {
    super(`the data folder ${folder} is in use by another Millrace`, 'Stop that one first, or choose another folder with --data.');
  }
}

/**
 * Opens the history, which one process at a time can have open.
 * @throws DataFolderInUse when another process has it open
 * @throws UserError when it cannot be opened
 */
export async function openSeries(settings: Settings): ReturnType<typeof openDuckDbSeries> {
  try {
    return await openDuckDbSeries({ folder: join(settings.data, 'series'), ...settings.series });
  } catch (error) {
    if (/lock/i.test(messageOf(error))) throw new DataFolderInUse(settings.data);
    throw new UserError(
      `the history in ${join(settings.data, 'series')} cannot be opened: ${messageOf(error)}`,
      'If it is damaged, move that folder away, or restore it from a backup. Without it a start makes a new one from what the log still holds.',
    );
  }
}

/** Waits for a promise, but no longer than a reader should have to. */
async function withinTime(promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CATCH_UP_MS);
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

/** Lets go of what is old: events that every reader has read, days that belong in the archive. */
function keepHouse(
  settings: Settings,
  { consumers, series, logger }: { consumers: readonly Consumer[]; series: SeriesStore; logger: Logger },
): () => void {
  const once = async () => {
    let dropped = 0;
    const rule = { olderThanMs: settings.log.retentionHours * HOUR_MS, bytesMax: settings.log.retentionGiB * GIB };
    for (const log of new Set(consumers.map((consumer) => consumer.log))) dropped += await log.retain(rule, Date.now());
    const archived = await series.archive(Date.now());
    if (dropped + archived > 0) logger.info({ droppedEvents: dropped, archivedRows: archived }, 'housekeeping');
  };
  const timer = setInterval(() => void once().catch((error) => logger.error({ err: error }, 'housekeeping failed')), HOUSEKEEPING_MS);
  return () => clearInterval(timer);
}
