import { createHash } from 'node:crypto';
import type { PlayerId, PlayerSummary } from '@millrace/contracts';
import { type ZoneHost, zoneAddress } from '@millrace/kernel';
import type { Question } from '../messages.ts';
import { firstPlayers } from '../player-list.ts';
import { itemsOf } from '../zone/restore.ts';
import { objectsOf } from '../zone/views.ts';
import type { World } from '../zone/world-state.ts';
import { worldZone } from '../zone/zone.ts';

/** SHA-256 over a state with its keys in order: equal states have equal hashes, whatever events led to them. */
export function hashOf(state: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(inOrder(state)))
    .digest('hex');
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const fields = value as Record<string, unknown>;
  return Object.fromEntries(
    Object.keys(fields)
      .sort((one, other) => (one < other ? -1 : 1))
      .map((key) => [key, inOrder(fields[key])]),
  );
}

/** Ids of the players and items of a zone. No other zone may have the same ones. */
export interface ZoneContents {
  readonly players: readonly PlayerId[];
  readonly items: readonly string[];
  /** Departed players on the way to another zone, and the items they carry. They may have arrived there already. */
  readonly leaving: { readonly players: readonly PlayerId[]; readonly items: readonly string[] };
}

function contentsOf(state: World): ZoneContents {
  const leaving = Object.values(state.departures).map(({ player }) => player);
  return {
    players: Object.keys(state.players),
    items: itemsOf(state),
    leaving: { players: leaving.map(({ id }) => id), items: leaving.flatMap(({ bag }) => bag.items.map(({ id }) => id)) },
  };
}

/**
 * Replies to a query about a live zone. It is read between two decisions, so the state is consistent.
 * @param isJoining whether a waiting command may admit the player
 */
export async function answerQuestion(question: Question, host: ZoneHost, isJoining: (player: PlayerId) => boolean): Promise<unknown> {
  const address = zoneAddress(worldZone.kind, question.zone);
  const view = host.view(address);
  if (!view) return null;
  const state = view.state as World;
  const status = { zone: question.zone, seq: view.seq, epoch: view.epoch };
  switch (question.about) {
    case 'zone':
      return { ...status, hash: hashOf(state), state };
    case 'player': {
      const player = state.players[question.player];
      const isBetween = state.departures[question.player] !== undefined || isJoining(question.player);
      return { ...status, found: player ? 'here' : isBetween ? 'between' : 'nowhere', player: player ?? null };
    }
    case 'players': {
      const found = Object.values(state.players)
        .filter(({ violations }) => !question.flagged || violations.total > 0)
        .filter(({ id, name }) => id.includes(question.find) || name.toLowerCase().includes(question.find))
        .map(
          ({ id, name, presence, violations }): PlayerSummary => ({
            id,
            name,
            zone: state.zone,
            awake: presence.session !== '',
            violations: violations.total,
          }),
        );
      return firstPlayers(found, question.after, question.limit);
    }
    case 'seq':
      return { ...status, seed: state.plan?.seed ?? null };
    case 'contents':
      return contentsOf(state);
    case 'objects':
      return { ...status, objects: objectsOf(state) };
    case 'snapshot':
      return { failure: await host.snapshot(address, question.store) };
  }
}
