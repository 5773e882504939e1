import type { Player, WorldCommand } from '@millrace/contracts';
import { editedFields } from './edit.ts';
import { restored } from './restore.ts';
import type { InitializedWorld } from './world-state.ts';
import { refuse, type WorldContext } from './zone-context.ts';

/** Changes fields of a player’s component for an operator. */
export function edit(state: InitializedWorld, player: Player, command: WorldCommand & { type: 'EditPlayer' }, context: WorldContext): void {
  const { component, operator, reason } = command;
  const fields = editedFields(state, player, component, command.fields, context.random);
  if (typeof fields === 'string') return refuse(context, 'INVALID_FIELD', fields);
  const present = player[component] as Record<string, unknown>;
  const was = Object.fromEntries(Object.keys(fields).map((field) => [field, structuredClone(present[field])]));
  context.emit({ type: 'PlayerEdited', player: player.id, component, fields, was, operator, reason });
  if (component === 'health' && player.health.points === 0 && player.health.diedAt === 0)
    context.emit({ type: 'PlayerDied', player: player.id, at: context.now });
}

/** Restores a zone to an earlier state. Refused when a player left after the other zones were checked, because it took its items there. */
export function restore(state: InitializedWorld, command: WorldCommand & { type: 'RestoreZone' }, context: WorldContext): void {
  const { past, restoredSeq, elsewhere, sent, operator, reason } = command;
  const left = Object.keys(state.sent).filter((zone) => state.sent[zone] !== sent[zone]);
  if (left.length > 0) return refuse(context, 'PLAYERS_LEFT', `To ${left.join(', ')}. Try again.`);
  const { objects } = restored(state, past, elsewhere, context.now);
  context.emit({ type: 'ZoneRestored', objects, restoredSeq, operator, reason, at: context.now });
  // The state may be between the loss of the last health and the death. Without the death such a player would never revive.
  for (const { id, health } of Object.values(objects.players))
    if (health.points === 0 && health.diedAt === 0) context.emit({ type: 'PlayerDied', player: id, at: context.now });
}
