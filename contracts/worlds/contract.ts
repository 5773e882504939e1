import { Type } from 'typebox';
import { type ChannelContract, moduleContract } from '../module.ts';
import { WorldsConfig } from './config.ts';
import { WORLD_ENDPOINTS } from './endpoints.ts';
import { PlayerStatus, World, WorldHostStatus, WorldZoneStatus, ZoneView } from './resources.ts';
import { isPlayerId, isZoneId } from './world.ts';

export const WORLD_CHANNELS = {
  world: {
    name: 'world',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'once per second: the world (`World`), its zones (array of `WorldZoneStatus`) and its hosts (array of `WorldHostStatus`)',
    events: { world: World, zones: Type.Array(WorldZoneStatus), hosts: Type.Array(WorldHostStatus) },
  },
  zones: {
    name: 'zones:{zone}',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'all visible objects of a zone, 5 times per second, as `ZoneView`',
    events: { zone: ZoneView },
    parameters: { zone: isZoneId },
  },
  players: {
    name: 'players:{player}',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'a player with all its components, 5 times per second, as `PlayerStatus`',
    events: { player: PlayerStatus },
    parameters: { player: isPlayerId },
  },
} as const satisfies Record<string, ChannelContract>;

export const worldsContract = moduleContract({
  name: 'worlds',
  reads: 'owner',
  endpoints: WORLD_ENDPOINTS,
  channels: WORLD_CHANNELS,
  topics: { worlds: { folder: 'worlds', zones: 'processes' } },
  config: { worlds: WorldsConfig },
});
