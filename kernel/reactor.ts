import { type EventBatch, eventId } from './batch.ts';
import type { CommandMeta, ZoneAddress } from './definition.ts';

export interface Reaction {
  readonly to: ZoneAddress;
  readonly command: unknown;
}

/**
 * How zones talk: an event of one becomes commands for others. Each command’s id is made from the event’s id, so that an
 * event that is delivered twice has one effect.
 */
export interface Reactor<Event = { type: string }> {
  readonly name: string;
  react(event: Event, from: ZoneAddress): Iterable<Reaction>;
}

export function* reactionsOf<Event extends { type: string }>(
  reactor: Reactor<Event>,
  batch: EventBatch<Event>,
): Generator<Reaction & { meta: CommandMeta }> {
  for (const [index, event] of batch.events.entries()) {
    let count = 0;
    const cause = batch.metas?.[index];
    for (const reaction of reactor.react(event, batch.zone)) {
      const id = `${reactor.name}/${eventId(batch, index)}/${count++}`;
      yield { ...reaction, meta: { ...(cause?.correlation !== undefined && { correlation: cause.correlation }), id } };
    }
  }
}
