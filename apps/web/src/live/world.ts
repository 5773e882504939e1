import type { Alert, ConsumerStand, FlowStand, PlayerStand, World, WorldHostStand, ZoneStand, ZoneView } from '@millrace/contracts';
import { useChannel } from '@millrace/react';

/** The world with its zones and hosts, once a second. */
export const useWorld = () => useChannel<{ world: World; zones: ZoneStand[]; hosts: WorldHostStand[] }>('world');

/** What stands in a zone, five times a second. */
export const useZoneView = (zone: string) => useChannel<{ zone: ZoneView }>(`zones:${zone}`).zone;

/** A player with its components, five times a second. */
export const usePlayerStand = (player: string) => useChannel<{ player: PlayerStand }>(`players:${player}`).player;

/** What flows, who reads, what is wrong. */
export const useOperations = () => useChannel<{ flow: FlowStand; consumers: ConsumerStand[]; alerts: Alert[] }>('operations');
