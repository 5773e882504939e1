export { type CandleReport, checkCandles } from './candle-check.ts';
export type { Instrument, MarketRules } from './instrument.ts';
export { instrumentKind, marketModule } from './module.ts';
export { SERIES_GROUP, seriesProjection } from './projection.ts';
export { describeInstrument } from './views.ts';
export { instrumentZone } from './zone.ts';
