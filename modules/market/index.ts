export { initialEvents, publishBatch, publishRemade } from './channels.ts';
export { historyForRequests } from './history.ts';
export { mendRoutes } from './mend-routes.ts';
export { seriesProjection } from './projection.ts';
export { marketRoutes } from './routes.ts';
export { udfRoutes } from './udf.ts';
export { describeInstrument } from './views.ts';
export { type Instrument, instrumentZone, type MarketRules } from './zone.ts';
