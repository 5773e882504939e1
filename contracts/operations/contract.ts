import { Type } from 'typebox';
import { type ChannelContract, moduleContract } from '../module.ts';
import { AlertRules } from './config.ts';
import { OPERATIONS_ENDPOINTS } from './endpoints.ts';
import { Alert, ConsumerGroupStatus, EventStats } from './resources.ts';

export const OPERATIONS_CHANNELS = {
  operations: {
    name: 'operations',
    delivery: 'conflated',
    access: 'platform:read',
    carries:
      'once per second: event statistics (`EventStats`), consumer groups (array of `ConsumerGroupStatus`) and alerts (array of `Alert`)',
    events: { flow: EventStats, consumers: Type.Array(ConsumerGroupStatus), alerts: Type.Array(Alert) },
  },
} as const satisfies Record<string, ChannelContract>;

export const operationsContract = moduleContract({
  name: 'operations',
  reads: 'process',
  endpoints: OPERATIONS_ENDPOINTS,
  channels: OPERATIONS_CHANNELS,
  config: { alerts: AlertRules },
});
