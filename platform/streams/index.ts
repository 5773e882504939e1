export { type ChannelDelivery, Hub, type HubOptions, type HubStats, type InitialEvent } from './hub.ts';
export { formatPosition, type HubPosition, parsePosition } from './position.ts';
export { type Entry, type Format, type Reader, socketFrame } from './reader.ts';
