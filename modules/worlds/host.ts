export type { FromZoneHost, ToZoneHost } from './messages.ts';
export { WorldHost } from './world-host.ts';
export type { worldZone } from './zone.ts';
