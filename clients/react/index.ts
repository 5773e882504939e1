export type { CandleSeries, SeriesCandle } from './candle-series.ts';
export type { ConnectionState } from './connection-state.ts';
export { MillraceProvider, useMillrace } from './provider.ts';
export { useCandles } from './use-candles.ts';
export { type ChannelState, useChannel } from './use-channel.ts';
export { useEvents } from './use-events.ts';
