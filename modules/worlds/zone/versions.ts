import type { Handover, Player, WorldEvent, WorldObjects } from '@millrace/contracts';
import type { EventBatch } from '@millrace/kernel';
import type { World } from './world-state.ts';

/**
 * Version of the events and the state of a world zone. Changes:
 * 2: `newcomers` in the state.
 * 3: other names. `ZoneFounded` is `ZoneCreated`; `OffencesCounted` with `offences` is `ViolationsCounted` with `counts`; the player
 *    component `conduct` with `suspicion` and `offences` is `violations` with `total` and `byCode`; `moment` of `ZoneRestored` is
 *    `restoredSeq`.
 */
export const WORLD_VERSION = 3;

/** A player as it was written before version 3. */
type EarlierPlayer = Omit<Player, 'violations'> & {
  readonly conduct: { readonly suspicion: number; readonly offences: Record<string, number> };
};
type EarlierHandover = Omit<Handover, 'player'> & { readonly player: EarlierPlayer };
type EarlierObjects = Omit<WorldObjects, 'players'> & { readonly players: Record<string, EarlierPlayer> };

/** Events whose shape changed with version 3. */
type EarlierEvent =
  | (Omit<WorldEvent & { type: 'ZoneCreated' }, 'type'> & { type: 'ZoneFounded' })
  | { type: 'OffencesCounted'; player: string; offences: Record<string, number> }
  | { type: 'PlayerJoined'; player: EarlierPlayer }
  | (Omit<WorldEvent & { type: 'PlayerDeparted' }, 'handover'> & { handover: EarlierHandover })
  | (Omit<WorldEvent & { type: 'PlayerArrived' }, 'handover'> & { handover: EarlierHandover })
  | (Omit<WorldEvent & { type: 'ZoneRestored' }, 'objects' | 'restoredSeq'> & { objects: EarlierObjects; moment: number });

/** Converts an event of an earlier version to today’s. The event itself is not changed. */
export function upcastEvent(event: unknown): WorldEvent {
  const earlier = event as EarlierEvent;
  switch (earlier.type) {
    case 'ZoneFounded':
      return { ...earlier, type: 'ZoneCreated' };
    case 'OffencesCounted':
      return { type: 'ViolationsCounted', player: earlier.player, counts: earlier.offences };
    case 'PlayerJoined':
      return { ...earlier, player: upcastPlayer(earlier.player) };
    case 'PlayerDeparted':
    case 'PlayerArrived':
      return { ...earlier, handover: upcastHandover(earlier.handover) } as WorldEvent;
    case 'ZoneRestored': {
      const { moment, objects, ...rest } = earlier;
      return { ...rest, restoredSeq: moment, objects: { ...objects, players: upcastPlayers(objects.players) } };
    }
    default:
      return event as WorldEvent;
  }
}

/** Converts a state of an earlier version to today’s. */
export function upcastState(state: unknown, version: number): World {
  const earlier = state as Omit<World, 'players' | 'departures'> & {
    readonly players: Record<string, EarlierPlayer>;
    readonly departures: Record<string, EarlierHandover>;
  };
  return {
    ...earlier,
    players: upcastPlayers(earlier.players),
    departures: mapValues(earlier.departures, upcastHandover),
    newcomers: version < 2 ? {} : earlier.newcomers,
  };
}

/** Converts the events and the checkpoint of a batch to today’s version, for readers other than the kernel. */
export function currentBatch(batch: EventBatch): EventBatch {
  const { version, events, loss } = batch;
  if (version >= WORLD_VERSION) return batch;
  return {
    ...batch,
    version: WORLD_VERSION,
    events: events.map(upcastEvent),
    ...(loss && { loss: { ...loss, checkpoint: { ...loss.checkpoint, state: upcastState(loss.checkpoint.state, version) } } }),
  };
}

function upcastPlayer({ conduct, ...player }: EarlierPlayer): Player {
  return { ...player, violations: { total: conduct.suspicion, byCode: conduct.offences } };
}

const upcastPlayers = (players: Record<string, EarlierPlayer>) => mapValues(players, upcastPlayer);

const upcastHandover = (handover: EarlierHandover): Handover => ({ ...handover, player: upcastPlayer(handover.player) });

function mapValues<From, To>(record: Readonly<Record<string, From>>, to: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, to(value)]));
}
