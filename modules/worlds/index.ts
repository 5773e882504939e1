export { Gateway, type GatewayZoneFigures, type HostPort, type WorldLimits } from './gateway.ts';
export { hashOf } from './inspect.ts';
export { listenTcp, type TcpListener, webSocketDoor } from './listeners.ts';
export type { FromZoneHost, ToZoneHost, ZoneFigures } from './messages.ts';
export { allZones } from './terrain.ts';
export { newPlayerId, newSecret, playerTokens } from './tokens.ts';
export { WorldHost } from './world-host.ts';
export { type World, worldZone } from './zone.ts';
