import type { Handover, WorldCommand } from '@millrace/contracts';
import type { World } from './world-state.ts';
import type { WorldContext } from './zone-context.ts';

/** Admits a player of a neighbour zone, once for each handover. */
export function admit(state: World, handover: Handover, context: WorldContext): void {
  if (!wasReceived(state, handover)) context.emit({ type: 'PlayerArrived', handover, at: context.now });
}

/** Ends a departure: the neighbour zone has recorded the arrival. */
export function confirmHandover(state: World, { to, number }: WorldCommand & { type: 'ConfirmHandover' }, context: WorldContext): void {
  const departed = Object.values(state.departures).find((handover) => handover.to === to && handover.number === number);
  if (departed) context.emit({ type: 'HandoverConfirmed', player: departed.player.id, to, number });
}

/** Takes back a player whose handover was never offered. */
export function recall(state: World, { player, number }: WorldCommand & { type: 'RecallPlayer' }, context: WorldContext): void {
  const departed = state.departures[player];
  if (departed?.number === number) context.emit({ type: 'PlayerRecalled', player, to: departed.to, number });
}

function wasReceived(state: World, { from, number }: Handover): boolean {
  const known = state.received[from];
  return known !== undefined && (number < known.floor || known.above.includes(number));
}
