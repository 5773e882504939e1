export type { FromZoneHost, ToZoneHost } from '../messages.ts';
export type { worldZone } from '../zone/zone.ts';
export { WorldHost } from './world-host.ts';
