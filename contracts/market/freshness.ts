import { type Static, Type } from 'typebox';

export const Freshness = Type.Unsafe<'live' | 'stale'>(
  Type.Enum(['live', 'stale'], { description: '`stale`: the source is unavailable or silent, and the newest known data is served.' }),
);
export type Freshness = Static<typeof Freshness>;
