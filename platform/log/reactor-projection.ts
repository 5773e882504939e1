import { systemClock } from '@millrace/base/clock';
import type { ReadRange } from '@millrace/base/offsets';
import {
  type Clock,
  type CommandMeta,
  type EventBatch,
  KERNEL_REFUSALS,
  type Reply,
  within,
  type ZoneAddress,
  type ZoneHost,
} from '@millrace/kernel';
import { eventId } from './envelopes.ts';
import { CannotApply, type Projection } from './projection.ts';

/** Maximum number of commands that wait for the log at a time. */
const IN_FLIGHT_MAX = 256;
/** Maximum number of commands that one event causes. */
const REACTIONS_MAX = 1_000;
/** Time limit for the log to store the effects, ms. After it the events are read again. */
const DURABLE_MS_MAX = 10_000;

/** A command that an event causes. */
export interface Reaction {
  readonly to: ZoneAddress;
  readonly command: unknown;
  readonly tenant?: string;
}

/**
 * Turns events of zones into commands to other zones. `react` may load data between commands; earlier commands are sent meanwhile. It must give the
 * same commands for the same event each time.
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
  readonly host: Pick<ZoneHost, 'open' | 'submit' | 'records'>;
  readonly clock?: Clock;
  offsets(): Promise<ReadonlyMap<number, number>>;
  /** Whether an event became a dead letter at any time: its commands are then for a replay only. */
  wasDead?(zone: ZoneAddress, seq: number): Promise<boolean>;
  /** @throws OffsetsChanged when a stored offset is not the start of its range */
  saveOffsets(read: readonly ReadRange[]): Promise<void>;
  /** A rule of the zone refused the command: it is not sent again. */
  readonly onRefused?: (to: ZoneAddress, refusal: Reply & { ok: false }) => void;
}

/**
 * Runs a reactor as a consumer group. Offsets are saved when each command is in the log, or was refused by a rule of its zone. Commands to a zone that is
 * busy, stopped or without a log are sent again. Each command has its number among those of its source zone, so an event has its effect once, however
 * often it is delivered. Commands for one zone are decided in the order of the events, and those of one event one after the other. An event whose command
 * makes its zone fail becomes a dead letter, which resumes at that command.
 */
export function reactorProjection<Event extends { type: string }>(parts: ReactorParts<Event>): Projection {
  const { reactor } = parts;
  return {
    name: reactor.name,
    isShared: true,
    wants: (zone) => reactor.wants(zone),
    offsets: () => parts.offsets(),
    apply: async (batches, read, resumeFrom) => {
      const delivery = new Delivery(parts, resumeFrom ?? null);
      for (const batch of batches)
        for (const [index, event] of batch.events.entries()) {
          if (resumeFrom === undefined && (await parts.wasDead?.(batch.zone, batch.firstSeq + index))) continue;
          delivery.nextEvent();
          let count = 0;
          for await (const reaction of reactor.react(event as Event, batch.zone)) await delivery.send(batch, index, count++, reaction);
        }
      await delivery.finish();
      await parts.saveOffsets(read);
    },
  };
}

/** Sends the commands of some batches: those of one event, and those for one zone, one after the other; all others at the same time. */
class Delivery<Event extends { type: string }> {
  readonly #parts: ReactorParts<Event>;
  /** For a dead letter: index of its first command that was not done. */
  readonly #resumeFrom: number | null;
  /** By zone: resolves when its newest command is decided. */
  readonly #decided = new Map<ZoneAddress, Promise<void>>();
  /** Resolves when the newest command of the current event is decided. */
  #decidedOfEvent: Promise<void> = Promise.resolve();
  #durable: Promise<void>[] = [];

  constructor(parts: ReactorParts<Event>, resumeFrom: number | null) {
    this.#parts = parts;
    this.#resumeFrom = resumeFrom;
  }

  nextEvent(): void {
    this.#decidedOfEvent = Promise.resolve();
  }

  /** @throws what `finish` throws */
  async send(batch: EventBatch, index: number, count: number, reaction: Reaction): Promise<void> {
    if (count < (this.#resumeFrom ?? 0)) return;
    if (count >= REACTIONS_MAX)
      throw new CannotApply(batch, `the event at seq ${batch.firstSeq + index} leads to more than ${REACTIONS_MAX} commands`, {
        index,
        command: count,
      });
    // The commands of each attempt would wait for the log, in addition to those of earlier attempts.
    if (!this.#parts.host.records(reaction.to)) throw new Error(`the log of ${reaction.to} is unavailable, so no effect can be confirmed`);
    const before = Promise.all([this.#decided.get(reaction.to) ?? this.#parts.host.open(reaction.to), this.#decidedOfEvent]);
    const decided = Promise.withResolvers<void>();
    this.#decided.set(reaction.to, decided.promise);
    this.#decidedOfEvent = decided.promise;
    const done = before
      .then(() => this.#submit(batch, index, count, reaction, decided))
      .catch((error) => {
        // The commands after it for this zone must not overtake it.
        decided.reject(error);
        throw error;
      });
    // `finish` reports the failure, unless something else ends the delivery before.
    for (const promise of [done, decided.promise]) promise.catch(() => {});
    this.#durable.push(done);
    if (this.#durable.length >= IN_FLIGHT_MAX) await this.finish();
  }

  /** Resolves when all commands sent have their effect, or were refused by a rule. @throws CannotApply, or Error to try again */
  async finish(): Promise<void> {
    const sent = this.#durable;
    this.#durable = [];
    const work = Promise.allSettled(sent);
    const outcomes = await within(this.#parts.clock ?? systemClock, DURABLE_MS_MAX, 'the log', work);
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    // An event becomes a dead letter only when the effects of its other commands are in the log.
    if (errors.length > 0) throw errors.find((error) => !(error instanceof CannotApply)) ?? errors[0];
  }

  async #submit(
    batch: EventBatch,
    index: number,
    count: number,
    { to, command, tenant }: Reaction,
    decided: PromiseWithResolvers<void>,
  ): Promise<void> {
    const { reactor, host, onRefused } = this.#parts;
    const meta = metaOf(reactor.name, batch, index, count, this.#resumeFrom !== null);
    const reply = await host.submit(to, command, {
      ...meta,
      ...(tenant !== undefined && { tenant }),
      durable: true,
      onDecided: (first) => {
        if (first.ok || verdictOf(first) === 'done') decided.resolve();
      },
    });
    if (reply.ok) return decided.resolve();
    const detail = `the command ${meta.id}: ${reply.code}, ${reply.message}`;
    switch (verdictOf(reply)) {
      case 'retry':
        throw new Error(`${to} did not accept ${detail}`);
      case 'never':
        throw new CannotApply(batch, `${to} failed on ${detail}`, { index, command: count });
      case 'done':
        decided.resolve();
        onRefused?.(to, reply);
    }
  }
}

/** Metadata of the command number `count` of an event: the same each time the event is delivered. */
function metaOf(reactor: string, batch: EventBatch, index: number, count: number, isReplay: boolean): CommandMeta {
  const correlation = batch.metas?.[index]?.correlation;
  const seq = batch.firstSeq + index;
  // Later events have higher numbers than a dead letter, so its commands need their own source.
  const source = isReplay
    ? { name: `${reactor}/${batch.zone}/${seq}`, place: count + 1 }
    : { name: `${reactor}/${batch.zone}`, place: seq * REACTIONS_MAX + count };
  return {
    id: `${reactor}/${eventId(batch, index)}/${count}`,
    source,
    ...(correlation !== undefined && { correlation }),
  };
}

/**
 * What a reply means for the delivery: `done`, with or without an effect; `retry`, because the same command may be accepted
 * later; `never`, because it will fail however often it is sent.
 */
function verdictOf(reply: Reply): 'done' | 'retry' | 'never' {
  if (reply.ok || !(reply.code in KERNEL_REFUSALS)) return 'done';
  return reply.code === 'ZONE_FAILED' ? 'never' : 'retry';
}
