import { useChannel } from '@millrace/react';

/** The world with its zones and hosts, once a second. */
export const useWorld = () => useChannel('world').events;

/** What stands in a zone, five times a second. */
export const useZoneView = (zone: string) => useChannel(`zones:${zone}`).events.zone;

/** A player with its components, five times a second. */
export const usePlayerStatus = (player: string) => useChannel(`players:${player}`).events.player;

/** What flows, who reads, what is wrong. */
export const useOperations = () => useChannel('operations').events;
