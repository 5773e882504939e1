import type { GroundItem, Handover, Monster, Player, PlayerId, WorldPlan, ZoneId } from '@millrace/contracts';

/** One zone of the world: everything that stands in it. */
export interface World {
  zone: ZoneId;
  plan: WorldPlan | null;
  players: Record<PlayerId, Player>;
  awake: number;
  monsters: Record<string, Monster>;
  items: Record<string, GroundItem>;
  /** When picked-up items come up again elsewhere, epoch ms. */
  respawns: number[];
  itemsEver: number;
  /** Players that left for another zone and are not yet known to have arrived. */
  departures: Record<PlayerId, Handover>;
  /** Number of the newest handover to each neighbour. */
  sent: Record<ZoneId, number>;
  /** Handovers taken from each neighbour: all below `floor`, and those in `above`. */
  received: Record<ZoneId, { floor: number; above: number[] }>;
  /** Players that were made here in the last minute, and when, epoch ms. Wherever they have gone since, a request to make them is an old one. */
  newcomers: Record<PlayerId, number>;
}

export type InitializedWorld = World & { plan: WorldPlan };
