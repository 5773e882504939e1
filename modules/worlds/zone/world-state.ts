import type { GroundItem, Handover, Monster, Player, PlayerId, WorldPlan, ZoneId } from '@millrace/contracts';

/** State of one zone of the world. */
export interface World {
  zone: ZoneId;
  plan: WorldPlan | null;
  players: Record<PlayerId, Player>;
  awake: number;
  monsters: Record<string, Monster>;
  items: Record<string, GroundItem>;
  /** When picked-up items respawn elsewhere, epoch ms. */
  respawns: number[];
  itemsEver: number;
  /** Players that left for another zone and are not yet known to have arrived. */
  departures: Record<PlayerId, Handover>;
  /** Number of the newest handover to each neighbour. */
  sent: Record<ZoneId, number>;
  /** Handovers taken from each neighbour: all below `floor`, and those in `above`. */
  received: Record<ZoneId, { floor: number; above: number[] }>;
  /** Players created here in the last minute, with the time, epoch ms. Another request to create one of them is a repeat, wherever the player is now. */
  newcomers: Record<PlayerId, number>;
}

export type InitializedWorld = World & { plan: WorldPlan };

/** Whether a zone has another plan than its world. It keeps its map, but the border of the world is where the newest plan has it. */
export function needsPlan(state: World, { columns, rows }: WorldPlan): boolean {
  return state.plan === null || state.plan.columns !== columns || state.plan.rows !== rows;
}
