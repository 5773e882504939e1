import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** Every label that a metric may have. */
const LABELS = ['source', 'instrument', 'group', 'kind', 'partition', 'zone', 'host', 'code', 'quantile', 'server', 'topic'] as const;
export type Labels = Partial<Record<(typeof LABELS)[number], string>>;

/** Prometheus metrics. Names carry their unit; statistics that a part keeps anyway are read when they are asked for. */
export interface Metrics {
  /** A figure that a part keeps anyway, read at each scrape: a counter when its name ends in `_total`, else a gauge. */
  read(name: string, help: string, values: () => Iterable<readonly [Labels, number]>): void;
  scrape(): Promise<{ contentType: string; text: string }>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    read: (name, help, values) => {
      const labelNames = [...LABELS];
      // By Prometheus’ convention a name that ends so is a count, which only rises.
      const metric = name.endsWith('_total')
        ? new Counter({
            name,
            help,
            labelNames,
            registers: [],
            collect() {
              this.reset();
              for (const [labels, value] of values()) this.inc(labels, value);
            },
          })
        : new Gauge({
            name,
            help,
            labelNames,
            registers: [],
            collect() {
              this.reset();
              for (const [labels, value] of values()) this.set(labels, value);
            },
          });
      registry.registerMetric(metric);
    },
    scrape: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
