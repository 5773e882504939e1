export { Hub } from './hub.ts';
export type { Channel, ChannelDelivery, HubOptions, HubStats, InitialEvent } from './hub-options.ts';
export { formatPosition, type HubPosition, parsePosition } from './position.ts';
export { type Entry, type Format, type Reader, socketFrame } from './reader.ts';
