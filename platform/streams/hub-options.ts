import type { EventConversion } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

export type ChannelDelivery = 'lossless' | 'conflated';

/** A channel and how it is delivered. */
export interface Channel {
  readonly name: string;
  readonly delivery: ChannelDelivery;
}

export interface InitialEvent {
  readonly event: string;
  readonly key: string;
  readonly data: unknown;
}

export interface HubOptions {
  readonly clock: Clock;
  /** Id of this history. A position is valid only in the history that it comes from. */
  readonly epoch: string;
  /** Maximum number of events in the history of a channel, for readers that resume. */
  readonly historyEvents: number;
  /** The events that a new reader gets first: the current state. None for channels without state. */
  readonly initial: (channel: string) => Iterable<InitialEvent>;
  /** Converts the data of an event before it is sent. Default: unchanged. */
  readonly convert?: EventConversion;
  /** Maximum number of events in the histories of all channels. Default 200,000. */
  readonly historyEventsMax?: number;
}

export interface HubStats {
  readonly readers: number;
  readonly channels: number;
  /** Events in the histories of all channels. */
  readonly historyEvents: number;
  readonly published: number;
  readonly delivered: number;
  readonly conflated: number;
  readonly slowReadersEnded: number;
  readonly gaps: number;
}
