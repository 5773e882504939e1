export { MillraceProvider, useMillrace } from './provider.ts';
export { type CandleSeries, type SeriesCandle, useCandles } from './use-candles.ts';
export { type ChannelState, useChannel } from './use-channel.ts';
export { type ConnectionState, useEvents } from './use-events.ts';
