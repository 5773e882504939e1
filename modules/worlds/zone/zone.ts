import { type PlayerId, WORLD_TICK_MS, type WorldCommand, type WorldEvent } from '@millrace/contracts';
import { defineZone } from '@millrace/kernel';
import { evolveWorld } from './evolve-world.ts';
import { admit, confirmHandover, recall } from './handover-commands.ts';
import { edit, restore } from './operator-commands.ts';
import { decideIntent } from './player-intents.ts';
import { join, kick, leave } from './player-presence.ts';
import { upcastEvent, upcastState, WORLD_VERSION } from './versions.ts';
import type { InitializedWorld, World } from './world-state.ts';
import { refuse, type WorldContext } from './zone-context.ts';
import { createZone, runTick } from './zone-upkeep.ts';

/** The consumer group that writes the world’s tables. */
export const WORLD_HISTORY = 'world-history';

/** A zone of the world: decides everything that clients and operators request. */
export const worldZone = defineZone<World, WorldCommand, WorldEvent>({
  kind: 'world',
  version: WORLD_VERSION,
  tickMs: WORLD_TICK_MS,
  create: (zone) => ({
    zone,
    plan: null,
    players: {},
    awake: 0,
    monsters: {},
    items: {},
    respawns: [],
    itemsEver: 0,
    departures: {},
    sent: {},
    received: {},
    newcomers: {},
  }),

  decide(state, command, context) {
    if (command.type === 'CreateZone') return createZone(state, command.plan, context);
    if (state.plan === null) return refuse(context, 'NOT_INITIALIZED', `Zone ${state.zone}.`);
    decideInitialized(state as InitializedWorld, command, context);
  },

  tick(state, context) {
    if (state.plan === null || state.awake === 0) return;
    runTick(state as InitializedWorld, Math.floor(context.now / WORLD_TICK_MS), context);
  },

  evolve: evolveWorld,
  upcast: upcastEvent,
  upcastState,
});

/** Commands to a zone; those to a player of the zone are decided with the player. */
function decideInitialized(state: InitializedWorld, command: Exclude<WorldCommand, { type: 'CreateZone' }>, context: WorldContext): void {
  switch (command.type) {
    case 'JoinZone':
      return join(state, command, context);
    case 'AdmitPlayer':
      return admit(state, command.handover, context);
    case 'ConfirmHandover':
      return confirmHandover(state, command, context);
    case 'RecallPlayer':
      return recall(state, command, context);
    case 'RestoreZone':
      return restore(state, command, context);
    case 'Announce':
      return context.emit({ type: 'Announced', text: command.text, operator: command.operator, at: context.now });
  }
  const player = state.players[command.player];
  if (!player) return refuseAbsent(state, command.player, context);
  switch (command.type) {
    case 'LeaveZone':
      return leave(player, command, context);
    case 'CountViolations':
      return context.emit({ type: 'ViolationsCounted', player: player.id, counts: command.counts });
    case 'KickPlayer':
      return kick(player, command, context);
    case 'EditPlayer':
      return edit(state, player, command, context);
    default:
      return decideIntent(state, player, command, context);
  }
}

function refuseAbsent(state: World, player: PlayerId, context: WorldContext): void {
  const code = state.departures[player] ? 'IN_TRANSIT' : 'PLAYER_NOT_IN_ZONE';
  refuse(context, code, `Player ${player}, zone ${state.zone}.`);
}
