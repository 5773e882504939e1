export { MillraceProvider, useMillrace } from './provider.ts';
export { type CandleSeries, useCandles } from './use-candles.ts';
export { useChannel } from './use-channel.ts';
export { useEvents } from './use-events.ts';
