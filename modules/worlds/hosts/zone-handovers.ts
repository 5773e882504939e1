import type { Handover, PlayerId, WorldCommand, WorldEvent } from '@millrace/contracts';
import type { Clock, EventBatch } from '@millrace/kernel';
import type { FromZoneHost } from '../messages.ts';
import type { World } from '../zone/world-state.ts';

/** How long an offer may stay without a confirmation before it is sent again, and a departure without a durable event before it is recalled. */
const RETRY_MS = 500;

export interface HandoverParts {
  readonly clock: Clock;
  readonly send: (message: FromZoneHost) => void;
  /** Sends a command to the zone that the players depart from. */
  readonly sendCommand: (command: WorldCommand) => void;
  /** Whether the log takes events now. */
  readonly isRecording: () => boolean;
  /** State of the zone that the players depart from. */
  readonly state: () => World | undefined;
}

/** Departures of one zone: offers players to the next zone until it confirms, or recalls them while the log is unavailable. */
export class ZoneHandovers {
  readonly #parts: HandoverParts;
  /** Offers that this host sent, with the time. */
  readonly #offers = new Map<PlayerId, { readonly number: number; readonly at: number }>();
  readonly #departedAt = new Map<PlayerId, number>();
  /** Numbers of handovers that are being recalled: they must not be offered any more. */
  readonly #recalls = new Map<PlayerId, number>();

  constructor(parts: HandoverParts) {
    this.#parts = parts;
  }

  /** Offers all departures again: an earlier owner may have done so; the other zone detects repeats. */
  offerAll({ departures }: World): void {
    for (const handover of Object.values(departures)) this.#offer(handover);
  }

  /** Follows the events of the zone as it decides them. */
  apply(event: WorldEvent): void {
    switch (event.type) {
      case 'PlayerDeparted':
        this.#departedAt.set(event.handover.player.id, this.#parts.clock.elapsed());
        return;
      case 'PlayerRecalled':
        this.#recalls.delete(event.player);
        this.#departedAt.delete(event.player);
        return;
      case 'HandoverConfirmed':
        this.#offers.delete(event.player);
        this.#departedAt.delete(event.player);
        return;
    }
  }

  /** Offers the departures of a durable batch. A crash can undo a departure until the log has it, so it is offered only then. */
  recorded({ events, loss }: EventBatch<WorldEvent>): void {
    for (const event of events) if (event.type === 'PlayerDeparted' && this.#isDeparted(event.handover)) this.#offer(event.handover);
    // Where events were lost, the log has the state after them, and in it the departures.
    const lost = loss?.checkpoint.state as World | undefined;
    for (const handover of Object.values(lost?.departures ?? {})) if (this.#isDeparted(handover)) this.#offer(handover);
  }

  /** Repeats offers without a confirmation; recalls departures that cannot be offered. `now` in ms of the clock’s `elapsed`. */
  retry({ departures }: World, now: number): void {
    for (const handover of Object.values(departures)) this.#retry(handover, now);
  }

  #retry(handover: Handover, now: number): void {
    const { number } = handover;
    const player = handover.player.id;
    const offer = this.#offers.get(player);
    if (offer?.number === number) {
      if (now - offer.at > RETRY_MS) this.#offer(handover);
      return;
    }
    const isStuck = !this.#parts.isRecording() && now - (this.#departedAt.get(player) ?? now) > RETRY_MS;
    if (!isStuck && this.#recalls.get(player) !== number) return;
    this.#recalls.set(player, number);
    this.#parts.sendCommand({ type: 'RecallPlayer', player, number });
  }

  #isDeparted({ player, number }: Handover): boolean {
    const isRecalled = this.#recalls.get(player.id) === number;
    return !isRecalled && this.#parts.state()?.departures[player.id]?.number === number;
  }

  #offer(handover: Handover): void {
    const { to, number, player } = handover;
    this.#offers.set(player.id, { number, at: this.#parts.clock.elapsed() });
    this.#parts.send({ type: 'deliver', zone: to, command: { type: 'AdmitPlayer', handover }, meta: {} });
  }
}
