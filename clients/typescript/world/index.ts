export { type CommandAnswer, WorldClient, type WorldClientOptions, type WorldEvents } from './client.ts';
export type { Connect, Transport, TransportEvents } from './transport.ts';
export { webSocket } from './web-socket.ts';
