import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** All labels that a metric can have. */
const LABELS = ['source', 'instrument', 'group', 'kind', 'partition', 'zone', 'host', 'code', 'quantile', 'server', 'topic'] as const;
/** Label values of one sample. */
export type Labels = Partial<Record<(typeof LABELS)[number], string>>;

/** Prometheus metrics. Names end in their unit. Values are read from existing statistics at each scrape. */
export interface Metrics {
  /** Adds a metric whose values are read at each scrape: a counter when its name ends in `_total`, else a gauge. */
  read(name: string, help: string, values: () => Iterable<readonly [Labels, number]>): void;
  scrape(): Promise<{ contentType: string; text: string }>;
}

/** A new registry with the default metrics of the Node.js process. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    read: (name, help, values) => {
      const labelNames = [...LABELS];
      // The suffix `_total` marks a counter, by the naming convention of Prometheus.
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
