import type { Checkpoint } from './batch.ts';
import type { CommandMeta, Refused } from './command.ts';
import type { RepliesKept } from './definition.ts';

/** Replies that a zone remembers for retries, unless its kind says otherwise. A client that retries after a thousand other commands is too late. */
export const REPLIES_MAX = 1_024;

/** Type of the event by which the kernel records a reply without events, for kinds with `repliesKept`. Definitions never get it. */
export const REPLIED = '$replied';

export interface RepliedEvent {
  readonly type: typeof REPLIED;
  /** Null for an accepted command. */
  readonly refusal: Pick<Refused, 'code' | 'message'> | null;
}

/** First reply to a command: its refusal, or the seq of its acceptance. The seq is negative when its events are lost. */
export type FirstReply = number | Refused;

type Remembered<Reply> = Map<string, readonly [reply: Reply, at: number]>;

/** Replies that a zone remembers, by command id, and the newest place of each source. */
export class Replies {
  readonly #kept: RepliesKept | undefined;
  /** Both with the oldest first. Refusals have a limit of their own, so that they displace no acceptance. */
  readonly #accepted: Remembered<number> = new Map();
  readonly #refused: Remembered<Refused> = new Map();
  readonly #places = new Map<string, number>();

  constructor(kept: RepliesKept | undefined, from?: Checkpoint) {
    this.#kept = kept;
    for (const [id, seq, at = 0] of from?.answered ?? []) this.#accepted.set(id, [seq, at]);
    for (const [id, refusal, at] of from?.refused ?? []) this.#refused.set(id, [refusal, at]);
    for (const [name, place] of from?.places ?? []) this.#places.set(name, place);
  }

  /** First reply to a command; undefined for a new one. */
  find(id: string): FirstReply | undefined {
    return (this.#accepted.get(id) ?? this.#refused.get(id))?.[0];
  }

  /** Whether a command of this place, or one of its source after it, was handled. */
  isPassed({ name, place }: NonNullable<CommandMeta['source']>): boolean {
    return place <= (this.#places.get(name) ?? 0);
  }

  /** @param at time of the decision, epoch ms */
  note({ id, source }: CommandMeta, reply: FirstReply, at: number): void {
    if (source !== undefined) this.#places.set(source.name, source.place);
    if (id === undefined) return;
    if (typeof reply === 'number') this.#remember(this.#accepted, id, reply, at);
    else this.#remember(this.#refused, id, reply, at);
  }

  /** The events from `firstSeq` on are lost. Their effects remain. */
  lose(firstSeq: number): void {
    for (const [id, [seq, at]] of this.#accepted) if (seq >= firstSeq) this.#accepted.set(id, [-seq, at]);
  }

  /** The remembered replies for a checkpoint. It has refusals and times only for kinds with `repliesKept`. */
  record(): Omit<Checkpoint, 'state'> {
    const isKept = this.#kept !== undefined;
    return {
      answered: [...this.#accepted].map(([id, [seq, at]]) => (isKept ? [id, seq, at] : [id, seq])),
      ...(isKept && { refused: [...this.#refused].map(([id, [refusal, at]]) => [id, refusal, at] as const) }),
      ...(this.#places.size > 0 && { places: [...this.#places] }),
    };
  }

  #remember<Reply>(replies: Remembered<Reply>, id: string, reply: Reply, at: number): void {
    const { number = REPLIES_MAX, ms = Number.POSITIVE_INFINITY } = this.#kept ?? {};
    replies.set(id, [reply, at]);
    for (const [oldest, [, time]] of replies) {
      if (replies.size <= number && at - time <= ms) return;
      replies.delete(oldest);
    }
  }
}
