export { type CandleReport, checkCandles } from './candle-check.ts';
export { instrumentKind, marketModule } from './module.ts';
export { SERIES_GROUP, seriesProjection } from './projection.ts';
export { describeInstrument } from './views.ts';
export { type Instrument, instrumentZone, type MarketRules } from './zone.ts';
