import { type ChannelContract, moduleContract } from '../module.ts';
import { COLLECTOR_ENDPOINTS } from './endpoints.ts';
import { Source } from './resources.ts';

export const COLLECTOR_CHANNELS = {
  sources: {
    name: 'sources',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'state and statistics of each source, as `Source`',
    events: { source: Source },
  },
} as const satisfies Record<string, ChannelContract>;

export const collectorContract = moduleContract({
  name: 'collector',
  reads: 'process',
  endpoints: COLLECTOR_ENDPOINTS,
  channels: COLLECTOR_CHANNELS,
});
