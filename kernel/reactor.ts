import { type EventBatch, eventId } from './batch.ts';
import { type CommandMeta, KERNEL_REFUSALS, type Reply, type ZoneAddress } from './definition.ts';

export interface Reaction {
  readonly to: ZoneAddress;
  readonly command: unknown;
  readonly tenant?: string;
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
    for (const reaction of reactor.react(event, batch.zone))
      yield { ...reaction, meta: reactionMeta(reactor.name, batch, index, count++, reaction) };
  }
}

/** What goes with the command number `count` that a reactor makes of an event: the same each time the event is delivered. */
export function reactionMeta(reactor: string, batch: EventBatch, index: number, count: number, { tenant }: Reaction): CommandMeta {
  const correlation = batch.metas?.[index]?.correlation;
  return {
    id: `${reactor}/${eventId(batch, index)}/${count}`,
    ...(correlation !== undefined && { correlation }),
    ...(tenant !== undefined && { tenant }),
  };
}

/**
 * What a reply means for who delivers events: `done`, with or without an effect; `retry`, because the same command may be taken
 * later; `never`, because it will fail however often it is sent.
 */
export function verdictOf(reply: Reply): 'done' | 'retry' | 'never' {
  if (reply.ok || !(reply.code in KERNEL_REFUSALS)) return 'done';
  return reply.code === 'ZONE_FAILED' || reply.code === 'NOT_RECORDED' ? 'never' : 'retry';
}
