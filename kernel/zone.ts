import type { Checkpoint, EventBatch } from './batch.ts';
import { type CommandMeta, keyOf, type Refused, type Reply, refused, type ZoneAddress } from './command.ts';
import type { AnyZoneDefinition, Context } from './definition.ts';
import type { LogPosition, Snapshot } from './ports.ts';
import { type FirstReply, REPLIED, Replies } from './replies.ts';
import { ZoneTime } from './zone-time.ts';

/** One zone in memory: its state and the events of the current turn. Only `handle`, `decide`, `tick` and `restore` change the state. */
export class Zone {
  readonly address: ZoneAddress;
  readonly definition: AnyZoneDefinition;
  state: unknown;
  seq = 0;
  /** 0 until the zone is owned. */
  epoch = 0;
  readonly time = new ZoneTime();
  /** Position of the newest durable event in the log. */
  position: LogPosition | null = null;

  #events: { type: string }[] = [];
  #metas: (CommandMeta | null)[] | null = null;
  #meta: CommandMeta | null = null;
  #refusal: Refused | null = null;
  /** Number of events in this turn before the current command. */
  #emittedBefore = 0;
  #replies: Replies;
  readonly #context: { -readonly [K in keyof Context<{ type: string }>]: Context<{ type: string }>[K] };

  constructor(definition: AnyZoneDefinition, address: ZoneAddress) {
    this.address = address;
    this.definition = definition;
    this.state = definition.create(keyOf(address));
    this.#replies = new Replies(definition.repliesKept);
    this.#context = {
      now: 0,
      random: () => {
        throw new Error(`${address} has no random numbers before it is owned. Open the zone first.`);
      },
      emit: (event) => this.#emit(event),
      refuse: (code, message) => {
        this.#refusal = { ok: false, code, message };
      },
    };
  }

  /**
   * Continues under an epoch.
   * @param random the zone’s numbers from now on; even a rebuild does not restart them
   */
  own(epoch: number, random: () => number): void {
    this.epoch = epoch;
    this.#context.random = random;
  }

  /**
   * Decides one command and returns the reply. A retry of a known id gets the first reply; a place that was passed is accepted.
   * @throws whatever the definition throws; the zone must then be rebuilt from its record
   */
  handle(command: unknown, meta: CommandMeta | null, now: number): Reply {
    // Durable from the newest event on: the effect of the place is among the events up to it.
    if (meta?.source !== undefined && this.#replies.isPassed(meta.source)) return this.#replyOf(this.seq);
    const first = meta?.id === undefined ? undefined : this.#replies.find(meta.id);
    if (first !== undefined) return this.#replyOf(first);
    const reply = this.decide(command, meta, now) ?? this.seq;
    return this.#replyOf(meta === null ? reply : this.#note(meta, reply, now));
  }

  /** Decides one command that is not a retry; null when it is accepted. Suffices for commands without an id and a reply. */
  decide(command: unknown, meta: CommandMeta | null, now: number): Refused | null {
    this.#begin(meta, now);
    this.definition.decide(this.state as never, command, this.#context);
    if (this.#refusal !== null && this.#events.length !== this.#emittedBefore)
      throw new Error(`${this.address}: decide emitted events and refused the same command. Let it do only one of them.`);
    return this.#refusal;
  }

  /** Runs one step for the time `now`, epoch ms. @throws whatever the definition throws */
  tick(now: number): void {
    this.#begin(null, now);
    this.definition.tick?.(this.state as never, this.#context);
  }

  /** The events decided since the last call, as one batch; undefined when there are none. */
  takeBatch(time: number): EventBatch | undefined {
    const events = this.#events;
    if (events.length === 0) return undefined;
    const metas = this.#metas;
    this.#events = [];
    this.#metas = null;
    return { ...this.#batch(this.seq - events.length + 1, time), events, metas };
  }

  /** A batch that replaces lost events from `firstSeq` on. Their effects remain, but a retry gets `NOT_RECORDED`. */
  bridge(firstSeq: number, time: number): EventBatch {
    this.#replies.lose(firstSeq);
    return { ...this.#batch(firstSeq, time), loss: { lastSeq: this.seq, checkpoint: structuredClone(this.checkpoint()) } };
  }

  /** The state, and what is remembered of commands. Not a copy. */
  checkpoint(): Checkpoint {
    return { state: this.state, ...this.#replies.record() };
  }

  snapshot(time: number): Snapshot {
    const { address, definition, epoch, seq, position } = this;
    return { ...this.checkpoint(), zone: address, version: definition.version, epoch, seq, time, position };
  }

  /** Sets the zone to the state that its record gives. @param time that of its newest event, epoch ms */
  restore(checkpoint: Checkpoint, seq: number, time: number, position: LogPosition | null): void {
    this.state = checkpoint.state;
    this.seq = seq;
    this.time.continueAfter(time);
    this.position = position;
    this.#replies = new Replies(this.definition.repliesKept, checkpoint);
  }

  /**
   * Removes the events of the failed command, so that only decisions with a reply reach the log. The state may be half
   * changed: it must be restored before it is read again.
   */
  undoFailed(): void {
    this.seq -= this.#events.length - this.#emittedBefore;
    this.#events.length = this.#emittedBefore;
    if (this.#metas) this.#metas.length = this.#emittedBefore;
  }

  #begin(meta: CommandMeta | null, now: number): void {
    this.#meta = meta;
    this.#refusal = null;
    this.#context.now = now;
    this.#emittedBefore = this.#events.length;
  }

  #emit(event: { type: string }): void {
    // The event counts before `evolve`: if `evolve` throws half-way, the event is among those that `undoFailed` removes.
    this.#record(event);
    this.definition.evolve(this.state, event);
  }

  #record(event: { type: string }): void {
    this.#events.push(event);
    this.seq++;
    if (this.#meta !== null && this.#metas === null) this.#metas = new Array(this.#events.length - 1).fill(null);
    this.#metas?.push(this.#meta);
  }

  /** Remembers a reply, and records one without events where the kind keeps replies. @returns the reply as it is remembered */
  #note(meta: CommandMeta, reply: FirstReply, now: number): FirstReply {
    const isRecorded = this.#events.length > this.#emittedBefore || meta.id === undefined || this.definition.repliesKept === undefined;
    if (!isRecorded)
      this.#record({ type: REPLIED, refusal: typeof reply === 'number' ? null : { code: reply.code, message: reply.message } } as never);
    const noted = typeof reply === 'number' ? this.seq : isRecorded ? reply : { ...reply, seq: this.seq };
    this.#replies.note(meta, noted, now);
    return noted;
  }

  #batch(firstSeq: number, time: number): EventBatch {
    return { zone: this.address, epoch: this.epoch, firstSeq, version: this.definition.version, time, events: [], metas: null };
  }

  #replyOf(reply: FirstReply): Reply {
    if (typeof reply !== 'number') return reply;
    if (reply >= 0) return { ok: true, seq: reply };
    return refused('NOT_RECORDED', `The events of the command, up to seq ${-reply} of ${this.address}, are lost.`);
  }
}
