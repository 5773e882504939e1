import { Type } from 'typebox';
import { strict } from '../strict.ts';

/** Section `market` of the configuration. */
export const MarketConfig = Type.Object(
  {
    lateWindowMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3_600_000,
        default: 600_000,
        description: 'Time after its close in which a late trade still corrects a candle, ms.',
      }),
    ),
    outlierPercent: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        default: 20,
        description: 'A trade is marked as an outlier if its price differs by more from the running mean, percent. It is kept.',
      }),
    ),
  },
  strict,
);
