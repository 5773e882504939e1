export { type CommandAnswer, WorldClient, type WorldClientOptions, type WorldEvents } from './world/client.ts';
export type { Connect, Transport, TransportEvents } from './world/transport.ts';
export { webSocket } from './world/web-socket.ts';
