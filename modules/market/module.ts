import {
  INSTRUMENTS,
  type InstrumentCommand,
  type InstrumentId,
  type Instruments,
  isInstrumentId,
  isInterval,
  marketContract,
} from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import { within } from '@millrace/kernel';
import { type ChannelSource, defineModule, type ModuleContext, type ModuleParts } from '@millrace/module';
import { coalesced } from '@millrace/resilience';
import { type Zones, zoneKind } from '@millrace/topics';
import { CandleWatch } from './candle-watch.ts';
import { initialEvents, publishBatch, publishRemade } from './channels.ts';
import { historyForRequests } from './history.ts';
import type { Instrument } from './instrument.ts';
import { InstrumentOpener } from './open-instruments.ts';
import { SERIES_GROUP, seriesProjection } from './projection.ts';
import { unrecordedTrades } from './recorded-trades.ts';
import { repairRoutes } from './repair-routes.ts';
import { type MarketReads, marketRoutes } from './routes.ts';
import { udfRoutes } from './udf.ts';
import { instrumentZone } from './zone.ts';

/** Maximum time that a request waits for pending rows of the store, ms. After it, it gets the stored rows. */
const CATCH_UP_MS = 2_000;
/** Maximum time that a repair waits until the store has all decided events, ms. */
const REPAIR_MS = 10_000;
/** Interval between the checks of stored candles, one instrument each, ms. */
const CANDLE_CHECK_MS = 60_000;
/** Interval between two runs of the archive job, ms. */
const ARCHIVE_MS = 10 * 60_000;
/** Maximum number of alerts for instruments with differing candles. */
const DIFFERING_MAX = 20;

export const instrumentKind = zoneKind('instrument', 'market', ({ market }) => instrumentZone(market));

type InstrumentZones = Zones<Instrument, InstrumentCommand>;

/** Instruments: candles, quotes, books and quality in memory, their history in the series store. */
export const marketModule = defineModule({
  contract: marketContract,
  zones: [instrumentKind],
  provides: [INSTRUMENTS],
  open: (context) => {
    const { hub, responses, series, clock, logger, settings } = context;
    const zones = context.zones(instrumentKind);
    const opener = new InstrumentOpener(zones, (message) => logger.error(message));
    context.provide(INSTRUMENTS, instrumentsOf(context, zones, opener));
    zones.onDecided((id, batch, state) => {
      // Before subscribers get the events: a client that requests the instrument then must see what was decided.
      responses.invalidate(`instrument:${id}`);
      responses.invalidate('instruments');
      publishBatch(hub, batch, state);
    });
    const projection = seriesProjection(series, ({ instruments, remade }) => {
      // A response that was computed between the decision and this lacks these rows.
      for (const id of instruments) responses.invalidate(`instrument:${id}`);
      publishRemade(hub, remade, (id) => zones.view(id)?.state);
    });
    const reads = readsOf(context, zones);
    const candles = new CandleWatch(
      series,
      () => zones.keys() as InstrumentId[],
      (difference) => logger.error(difference, 'a stored candle differs from its stored trades'),
    );
    return {
      routes: (routes, { app }) => {
        marketRoutes(routes, reads);
        udfRoutes(app, reads);
        repairRoutes(routes, {
          series,
          now: () => clock.now(),
          archiveAfterDays: settings.series.archiveAfterDays,
          view: (id) => {
            const view = zones.view(id);
            return view && { ...view, isIdle: zones.waiting(id) === 0 };
          },
          settled: () => settled(context, zones),
          submit: (id, command) => zones.submit(id, command, { durable: true }),
        });
      },
      channels: channelSources(reads),
      projections: { [SERIES_GROUP]: { topic: instrumentKind.topic, projection } },
      jobs: {
        'candle-check': { role: 'jobs', everyMs: CANDLE_CHECK_MS, run: () => candles.checkNext() },
        archive: {
          role: 'jobs',
          everyMs: ARCHIVE_MS,
          run: async () => {
            const archivedRows = await series.archive(clock.now());
            if (archivedRows > 0) logger.info({ archivedRows }, 'days were moved to the archive');
          },
        },
      },
      services: { 'instrument-opener': { role: 'zones', start: () => {}, stop: () => opener.stop() } },
      alerts: function* () {
        for (const { instrument, candles: value } of candles.differing().slice(0, DIFFERING_MAX)) {
          const about = { rule: 'candles-differ', severity: 'warning', subject: instrument } as const;
          yield { ...about, id: `candles-differ/${instrument}`, value, threshold: 0, forMs: 0 };
        }
      },
      status: () => ({ series: 'ok' }),
    } satisfies ModuleParts;
  },
});

/** Resolves when the store has everything decided so far. */
function settled(context: ModuleContext, zones: InstrumentZones): Promise<void> {
  const stored = zones.recorded().then(() => context.group(SERIES_GROUP).caughtUp());
  return within(context.clock, REPAIR_MS, 'the history', stored);
}

function instrumentsOf(context: ModuleContext, zones: InstrumentZones, opener: InstrumentOpener): Instruments {
  const { series, clock } = context;
  const stateOf = (id: InstrumentId) => zones.view(id)?.state;
  return {
    send: (id, command, trace) => !opener.isUnopened(id) && zones.send(id, command, { correlation: trace }),
    recordOf: (id) => (stateOf(id) === undefined ? 'closed' : zones.waiting(id) > 0 ? 'deciding' : 'settled'),
    lastTrade: (id) => stateOf(id)?.last ?? null,
    gapsOf: (id) => stateOf(id)?.quality.gaps ?? [],
    unrecorded: (id, trades, numbered) =>
      unrecordedTrades({ clock, series, seen: () => stateOf(id)?.seen, settled: () => settled(context, zones) }, id, trades, numbered),
    filesOf: (id) => stateOf(id)?.files ?? {},
    ids: () => zones.keys() as InstrumentId[],
    recorded: (source) => series.instruments().filter((id) => id.startsWith(`${source}:`)),
    symbolOf: (id) => stateOf(id)?.listed?.symbol,
    open: (listed, recorded) => opener.openAll(listed, recorded),
    add: (listed) => opener.add(listed),
    onEvents: (listener) => zones.onDecided((id, { events }) => isInstrumentId(id) && listener(id, events)),
  };
}

function readsOf(context: ModuleContext, zones: InstrumentZones): MarketReads {
  const { series, clock, logger } = context;
  // One wait for all requests, however many wait while the store does not answer.
  const caughtUp = coalesced(() => zones.flushed().then(() => context.group(SERIES_GROUP).caughtUp()));
  return {
    series: historyForRequests(series, clock, (message) => logger.error(message)),
    instrument: (id) => zones.view(id)?.state,
    *instruments() {
      for (const id of zones.keys()) {
        const state = zones.view(id)?.state;
        if (state) yield [id as InstrumentId, state] as const;
      }
    },
    caughtUp: () => within(clock, CATCH_UP_MS, 'the store', caughtUp()).catch(() => {}),
  };
}

function channelSources({ instruments, instrument }: MarketReads): Record<string, ChannelSource> {
  const check: ChannelSource['check'] = ({ instrument: id }) => {
    if (id !== undefined && isInstrumentId(id) && instrument(id)) return;
    throw new ApiProblem('UNKNOWN_INSTRUMENT', `Unknown instrument "${id}".`, 'GET /api/v1/instruments lists all instruments.');
  };
  const source = (kind: 'trades' | 'quotes' | 'book' | 'readings' | 'candles'): ChannelSource => ({
    check,
    initial: ({ instrument: id, interval }) => {
      if (id === undefined || !isInstrumentId(id)) return [];
      if (kind !== 'candles') return initialEvents({ kind, instrument: id }, instruments, instrument);
      return isInterval(interval) ? initialEvents({ kind, instrument: id, interval }, instruments, instrument) : [];
    },
  });
  return {
    ...Object.fromEntries((['trades', 'quotes', 'book', 'readings', 'candles'] as const).map((kind) => [kind, source(kind)])),
    tickers: { initial: () => initialEvents({ kind: 'tickers' }, instruments, instrument) },
  };
}
