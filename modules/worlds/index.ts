export { type World, worldZone } from './zone.ts';
