import type { PlayerId, WorldEvent } from '@millrace/contracts';
import { encodeFrame } from '../gateway/wire.ts';
import type { FromZoneHost, Handle } from '../messages.ts';
import { yourselfOf } from '../zone/views.ts';
import type { World } from '../zone/world-state.ts';
import type { OpenZone } from './open-zone.ts';

export interface NoticeParts {
  readonly send: (message: FromZoneHost) => void;
  /** Ends the attachment of a session to its zone. */
  readonly detach: (handle: Handle) => void;
}

/** Sends sessions the zone’s events that are not part of the visible objects: chat, announcements, own state. */
export class GuestNotices {
  readonly #send: NoticeParts['send'];
  readonly #detach: NoticeParts['detach'];

  constructor({ send, detach }: NoticeParts) {
    this.#send = send;
    this.#detach = detach;
  }

  /** @param state the state after the event */
  apply(event: WorldEvent, zone: OpenZone, state: World): void {
    switch (event.type) {
      case 'PlayerSaid': {
        const name = state.players[event.player]?.name ?? event.player;
        return this.#notice(zone.audience.handles, 'said', name, event.text, event.at);
      }
      case 'Announced':
        return this.#notice(zone.audience.handles, 'announced', null, event.text, event.at);
      case 'PlayerDied':
      case 'PlayerRevived':
        this.#notice(zone.handlesOf(event.player), event.type === 'PlayerDied' ? 'died' : 'revived', null, null, event.at);
        return this.#sendPlayer(zone, event.player, state);
      case 'ItemPickedUp':
      case 'ItemUsed':
      case 'PlayerEdited':
        return this.#sendPlayer(zone, event.player, state);
      case 'ZoneRestored':
        for (const player of zone.guests.keys()) this.#sendPlayer(zone, player, state);
        return;
      case 'PlayerDeparted':
        return this.#departed(zone, event.handover.player.id);
      case 'PlayerRecalled': {
        const player = state.players[event.player];
        if (player) this.#send({ type: 'arrived', zone: zone.zone, player: player.id, session: player.presence.session });
        return;
      }
      case 'PlayerKicked':
        for (const handle of zone.handlesOf(event.player)) this.#detach(handle);
        return this.#send({ type: 'kicked', zone: zone.zone, player: event.player, reason: event.reason });
      case 'PlayerFellAsleep':
        // The host detaches a session before it leaves. One that is attached here has not left.
        return this.#release(zone, event.player);
      case 'PlayerWoke':
        // Another session plays this player now, so the earlier one stops watching.
        if (zone.guests.get(event.player)?.session !== event.session) this.#release(zone, event.player);
        return;
    }
  }

  /** Detaches the session of a player. It enters again if it still exists. */
  #release(zone: OpenZone, player: PlayerId): void {
    for (const handle of zone.handlesOf(player)) {
      this.#detach(handle);
      this.#send({ type: 'astray', handle, zone: zone.zone });
    }
  }

  #departed(zone: OpenZone, player: PlayerId): void {
    for (const handle of zone.handlesOf(player)) {
      this.#detach(handle);
      this.#send({ type: 'left', handle, zone: zone.zone, n: null, code: 'IN_TRANSIT' });
    }
  }

  #notice(handles: Handle[], kind: string, from: string | null, text: string | null, at: number): void {
    if (handles.length > 0) this.#send({ type: 'notice', handles, kind, from, text, at });
  }

  /** Sends a player’s own state to its session. */
  #sendPlayer(zone: OpenZone, id: PlayerId, state: World): void {
    const player = state.players[id];
    const handles = zone.handlesOf(id);
    if (player && handles.length > 0)
      this.#send({ type: 'cast', handles, matters: true, frame: encodeFrame({ t: 'you', you: yourselfOf(player) }) });
  }
}
