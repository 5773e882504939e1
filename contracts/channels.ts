import type { Static, TSchema } from 'typebox';
import { ACCOUNT_CHANNELS, type OWN_CHANNEL } from './accounts/contract.ts';
import { COLLECTOR_CHANNELS } from './collector/contract.ts';
import type { Wire } from './instant.ts';
import { MARKET_CHANNELS } from './market/channels.ts';
import type { Interval } from './market/interval.ts';
import { OPERATIONS_CHANNELS } from './operations/contract.ts';
import { WORLD_CHANNELS } from './worlds/contract.ts';

/** All live channels of Millrace, by kind. The contract of each module lists its own. */
export const CHANNELS = {
  ...MARKET_CHANNELS,
  ...COLLECTOR_CHANNELS,
  ...ACCOUNT_CHANNELS,
  ...WORLD_CHANNELS,
  ...OPERATIONS_CHANNELS,
} as const;
export type ChannelKind = keyof typeof CHANNELS;

/** Events of each channel kind, with the types of their data as clients receive them. */
export type ChannelEvents = {
  readonly [Kind in ChannelKind]: {
    readonly [Event in keyof (typeof CHANNELS)[Kind]['events']]: Wire<DataOf<(typeof CHANNELS)[Kind]['events'][Event]>>;
  };
};
type DataOf<Schema> = Schema extends TSchema ? Static<Schema> : never;

/** Texts of a name such as `candles:{instrument}:{interval}`. */
type NamesOf<Name extends string> = Name extends `${infer Head}{interval}${infer Rest}`
  ? `${NamesOf<Head>}${Interval}${NamesOf<Rest>}`
  : Name extends `${infer Head}{${string}}${infer Rest}`
    ? `${Head}${string}${NamesOf<Rest>}`
    : Name;

/** Name of a channel. `user` is the channel of the signed-in user. */
export type ChannelName = typeof OWN_CHANNEL | { [Kind in ChannelKind]: NamesOf<(typeof CHANNELS)[Kind]['name']> }[ChannelKind];

/** Events of the channel with this name. */
export type EventsOf<Name extends ChannelName> = Name extends typeof OWN_CHANNEL
  ? ChannelEvents['users']
  : Name extends ChannelKind
    ? ChannelEvents[Name]
    : Name extends `${infer Kind extends ChannelKind}:${string}`
      ? ChannelEvents[Kind]
      : never;
