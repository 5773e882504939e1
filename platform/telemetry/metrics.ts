import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Labels = Record<string, string>;

/** Prometheus metrics. Names carry their unit; figures that a part keeps anyway are read when they are asked for. */
export interface Metrics {
  counter(name: string, help: string, labels?: string[]): Counter;
  histogram(name: string, help: string, buckets: number[], labels?: string[]): Histogram;
  /** A gauge whose values are read at each scrape. */
  read(name: string, help: string, values: () => Iterable<readonly [Labels, number]>): void;
  scrape(): Promise<{ contentType: string; text: string }>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    counter: (name, help, labels = []) => new Counter({ name, help, labelNames: labels, registers: [registry] }),
    histogram: (name, help, buckets, labels = []) => new Histogram({ name, help, buckets, labelNames: labels, registers: [registry] }),
    read: (name, help, values) => {
      const gauge = new Gauge({
        name,
        help,
        labelNames: ['source', 'instrument', 'group', 'kind', 'partition', 'zone'],
        registers: [],
        collect() {
          this.reset();
          for (const [labels, value] of values()) this.set(labels, value);
        },
      });
      registry.registerMetric(gauge);
    },
    scrape: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
