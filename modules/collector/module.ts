import { collectorContract, INSTRUMENTS, port, type Source, type SourceConfig } from '@millrace/contracts';
import { defineModule, type ModuleDefinition } from '@millrace/module';
import { Collector } from './collector.ts';
import { collectorMetrics } from './metrics.ts';
import { collectorRoutes } from './routes.ts';
import type { SourceParts } from './source.ts';
import type { Venues } from './venue.ts';

/** The running collector, for commands and tests. */
export const COLLECTOR = port<Collector>('collector');

export interface CollectorChanges {
  /** Venues in addition to those of Millrace, by source type. */
  readonly venues?: Venues;
  /** Changes how a source is composed: a replay feeds recorded frames through the real adapter. */
  readonly adjust?: (config: SourceConfig, parts: SourceParts) => SourceParts;
  /** Receives each state of a source. */
  readonly onSource?: (source: Source) => void;
}

/** Sources of market data, each under its supervisor. */
export function collectorModule({ venues, adjust, onSource }: CollectorChanges = {}): ModuleDefinition {
  return defineModule({
    contract: collectorContract,
    needs: [INSTRUMENTS],
    provides: [COLLECTOR],
    open: async (context) => {
      const { settings, clock, hub, logger } = context;
      const instruments = context.need(INSTRUMENTS);
      const collector = new Collector({
        sources: settings.sources,
        market: instruments,
        clock,
        onChange: (source) => {
          if (hub.isWanted('sources')) hub.publish('sources', 'conflated', 'source', source.id, source);
          onSource?.(source);
        },
        onFailure: (message) => logger.warn(message),
        recorded: (source) => instruments.recorded(source),
        symbolOf: (id) => instruments.symbolOf(id),
        onInstrument: (listed) => instruments.add(listed),
        ...(venues && { venues }),
        ...(adjust && { adjust }),
      });
      instruments.onEvents((id, events) => collector.react(id, events));
      await instruments.open(collector.instruments, collector.recorded);
      context.provide(COLLECTOR, collector);
      return {
        routes: (routes) => collectorRoutes(routes, collector),
        channels: {
          sources: {
            initial: () => collector.sources().map((source) => ({ event: 'source', key: source.id, data: source.describe() })),
          },
        },
        services: { collector: { role: 'collector', start: () => collector.start(), stop: () => collector.stop() } },
        metrics: (metrics) => collectorMetrics(metrics, collector),
      };
    },
  });
}
