import type {
  Alert,
  ConsumerGroupStatus,
  EventStats,
  PlayerStatus,
  World,
  WorldHostStatus,
  WorldZoneStatus,
  ZoneView,
} from '@millrace/contracts';
import { useChannel } from '@millrace/react';
import { useMemo } from 'react';
import { withTimes } from './times.ts';

/** The newest events of a channel, with times in epoch ms. */
function useEventsWithTimes<T>(events: object): Partial<T> {
  return useMemo(() => withTimes<Partial<T>>(events), [events]);
}

/** The world with its zones and hosts, once a second. */
export const useWorld = () =>
  useEventsWithTimes<{ world: World; zones: WorldZoneStatus[]; hosts: WorldHostStatus[] }>(useChannel('world').events);

/** The objects in a zone, five times per second. */
export const useZoneView = (zone: string) => useEventsWithTimes<{ zone: ZoneView }>(useChannel(`zones:${zone}`).events).zone;

/** A player with its components, five times a second. */
export const usePlayerStatus = (player: string) =>
  useEventsWithTimes<{ player: PlayerStatus }>(useChannel(`players:${player}`).events).player;

/** Event rates, consumer groups and alerts. */
export const useOperations = () =>
  useEventsWithTimes<{ flow: EventStats; consumers: ConsumerGroupStatus[]; alerts: Alert[] }>(useChannel('operations').events);
