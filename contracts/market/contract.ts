import { moduleContract } from '../module.ts';
import { MARKET_CHANNELS } from './channels.ts';
import { MarketConfig } from './config.ts';
import { MARKET_ENDPOINTS } from './endpoints.ts';

export const marketContract = moduleContract({
  name: 'market',
  reads: 'owner',
  endpoints: MARKET_ENDPOINTS,
  channels: MARKET_CHANNELS,
  topics: { market: { folder: '.' } },
  config: { market: MarketConfig },
});
