import { type CommandMeta, type EventBatch, KERNEL_REFUSALS, type Reply, type ZoneAddress, type ZoneHost } from '@millrace/kernel';
import type { ReadRange } from '../offsets.ts';
import { CannotApply, type Projection } from './consumer.ts';
import { eventId } from './envelopes.ts';

/** A command that an event leads to. */
export interface Reaction {
  readonly to: ZoneAddress;
  readonly command: unknown;
  readonly tenant?: string;
}

/**
 * How zones talk: an event of one becomes commands for others. Each command’s id is made from the event’s id, so that an event
 * that is delivered twice has one effect. A reactor may have to fetch what it needs before it knows its next command; those
 * before are sent meanwhile, in order.
 */
export interface EventReactor<Event extends { type: string } = { type: string }> {
  /** Name of its consumer group. */
  readonly name: string;
  wants(zone: ZoneAddress): boolean;
  react(event: Event, from: ZoneAddress): Iterable<Reaction> | AsyncIterable<Reaction>;
}

export interface ReactorParts<Event extends { type: string }> {
  readonly reactor: EventReactor<Event>;
  /** Owns the zones that the commands are for. */
  readonly host: Pick<ZoneHost, 'open' | 'submit'>;
  offsets(): Promise<ReadonlyMap<number, number>>;
  /** @throws OffsetsChanged when a partition is not read up to where its range begins */
  saveOffsets(read: readonly ReadRange[]): Promise<void>;
  /** A zone’s own rule refused the command: nothing to retry, and perhaps something to know. */
  readonly onRefused?: (to: ZoneAddress, refusal: Reply & { ok: false }) => void;
}

/**
 * Runs a reactor as a consumer group. The group goes on only when the log has the effect of each command, or a zone’s rule has
 * refused it: a zone that is busy, away or not recording is asked again, with the same command id, so that each event has its
 * effect exactly once. A command that makes its zone fail goes to the dead letters with its batch.
 */
export function reactorProjection<Event extends { type: string }>(parts: ReactorParts<Event>): Projection {
  const { reactor, host } = parts;
  async function send(batch: EventBatch, index: number, count: number, reaction: Reaction): Promise<void> {
    await host.open(reaction.to);
    const meta = reactionMeta(reactor.name, batch, index, count, reaction);
    const reply = await host.submit(reaction.to, reaction.command, { ...meta, durable: true });
    const verdict = verdictOf(reply);
    if (reply.ok) return;
    if (verdict === 'retry') throw new Error(`${reaction.to} did not take the command ${meta.id}: ${reply.code}, ${reply.message}`);
    if (verdict === 'never')
      throw new CannotApply(batch, `${reaction.to} failed on the command ${meta.id}: ${reply.code}, ${reply.message}`);
    parts.onRefused?.(reaction.to, reply);
  }
  return {
    name: reactor.name,
    wants: (zone) => reactor.wants(zone),
    offsets: () => parts.offsets(),
    apply: async (batches, read) => {
      for (const batch of batches)
        for (const [index, event] of batch.events.entries()) {
          let count = 0;
          for await (const reaction of reactor.react(event as Event, batch.zone)) await send(batch, index, count++, reaction);
        }
      await parts.saveOffsets(read);
    },
  };
}

/** What goes with the command number `count` that a reactor makes of an event: the same each time the event is delivered. */
function reactionMeta(reactor: string, batch: EventBatch, index: number, count: number, { tenant }: Reaction): CommandMeta {
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
function verdictOf(reply: Reply): 'done' | 'retry' | 'never' {
  if (reply.ok || !(reply.code in KERNEL_REFUSALS)) return 'done';
  return reply.code === 'ZONE_FAILED' || reply.code === 'NOT_RECORDED' ? 'never' : 'retry';
}
