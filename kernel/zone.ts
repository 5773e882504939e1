import type { Checkpoint, EventBatch } from './batch.ts';
import {
  type AnyZoneDefinition,
  type CommandMeta,
  type Context,
  keyOf,
  type Refused,
  type Reply,
  refused,
  type ZoneAddress,
} from './definition.ts';
import type { LogPosition, Snapshot } from './ports.ts';

/** Replies kept for retries, per zone. A client that retries after a thousand other commands has waited too long. */
export const ANSWERS_MAX = 1_024;

/** One zone in memory: its state and the events of the current turn. Only `handle`, `decide`, `tick` and `restore` change the state. */
export class Zone {
  readonly address: ZoneAddress;
  readonly definition: AnyZoneDefinition;
  state: unknown;
  seq = 0;
  /** 0 until the zone is owned. */
  epoch = 0;
  /** Position of the newest durable event in the log. */
  position: LogPosition | null = null;

  #events: { type: string }[] = [];
  #metas: (CommandMeta | null)[] | null = null;
  #meta: CommandMeta | null = null;
  #refusal: Refused | null = null;
  /** Number of events in this turn before the current command. */
  #emittedBefore = 0;
  /** By command id, oldest first: the refusal, or the seq of acceptance. The seq is negative when its events are lost. */
  readonly #answered = new Map<string, number | Refused>();
  readonly #context: { -readonly [K in keyof Context<{ type: string }>]: Context<{ type: string }>[K] };

  constructor(definition: AnyZoneDefinition, address: ZoneAddress) {
    this.address = address;
    this.definition = definition;
    this.state = definition.create(keyOf(address));
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
   * Takes ownership under an epoch.
   * @param random the zone’s numbers under this epoch; the sequence lasts for the epoch, and even a rebuild does not restart it
   */
  own(epoch: number, random: () => number): void {
    this.epoch = epoch;
    this.#context.random = random;
  }

  /**
   * Decides one command and returns the reply. A retry of a known id gets the first reply.
   * @throws whatever the definition throws; the zone must then be rebuilt from its record
   */
  handle(command: unknown, meta: CommandMeta | null, now: number): Reply {
    const id = meta?.id;
    const first = id === undefined ? undefined : this.#answered.get(id);
    if (first !== undefined) return this.#replyOf(first);
    const answer = this.decide(command, meta, now) ?? this.seq;
    if (id !== undefined) this.#remember(id, answer);
    return this.#replyOf(answer);
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
    for (const [id, answer] of this.#answered) if (typeof answer === 'number' && answer >= firstSeq) this.#answered.set(id, -answer);
    return { ...this.#batch(firstSeq, time), loss: { lastSeq: this.seq, checkpoint: structuredClone(this.checkpoint()) } };
  }

  /** The state and the accepted command ids. Not a copy. */
  checkpoint(): Checkpoint {
    const answered = [...this.#answered].filter((answer): answer is [string, number] => typeof answer[1] === 'number');
    return { state: this.state, answered };
  }

  snapshot(time: number, unrecorded: readonly EventBatch[]): Snapshot {
    const { address, definition, epoch, seq, position } = this;
    return { ...this.checkpoint(), zone: address, version: definition.version, epoch, seq, time, position, unrecorded };
  }

  /** Sets the zone to the state that its record gives. */
  restore(checkpoint: Checkpoint, seq: number, position: LogPosition | null): void {
    this.state = checkpoint.state;
    this.seq = seq;
    this.position = position;
    this.#answered.clear();
    for (const [id, answeredAt] of checkpoint.answered) this.#remember(id, answeredAt);
  }

  /**
   * Removes the events of the failed command, so that only decisions that were answered reach the log. The state may be half
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
    this.#events.push(event);
    this.seq++;
    if (this.#meta !== null && this.#metas === null) this.#metas = new Array(this.#events.length - 1).fill(null);
    this.#metas?.push(this.#meta);
    this.definition.evolve(this.state, event);
  }

  #batch(firstSeq: number, time: number): EventBatch {
    return { zone: this.address, epoch: this.epoch, firstSeq, version: this.definition.version, time, events: [], metas: null };
  }

  #replyOf(answer: number | Refused): Reply {
    if (typeof answer !== 'number') return answer;
    if (answer >= 0) return { ok: true, seq: answer };
    return refused('NOT_RECORDED', `The events of the command, up to seq ${-answer} of ${this.address}, are lost.`);
  }

  #remember(id: string, answer: number | Refused): void {
    const oldest = this.#answered.size >= ANSWERS_MAX ? this.#answered.keys().next().value : undefined;
    if (oldest !== undefined) this.#answered.delete(oldest);
    this.#answered.set(id, answer);
  }
}
