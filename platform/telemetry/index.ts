export { createLogger, type Logger } from './logger.ts';
export { createMetrics, type Labels, type Metrics } from './metrics.ts';
export { RecentValues } from './recent-values.ts';
export { TraceSource } from './trace.ts';
