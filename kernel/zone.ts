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

/** Answers remembered for retries, per zone. A client that retries after a thousand other commands has waited too long. */
export const ANSWERS_MAX = 1_024;

/** One zone in memory: its state and the events of the present turn. All that may change the state goes through `handle` and `tick`. */
export class Zone {
  readonly address: ZoneAddress;
  readonly definition: AnyZoneDefinition;
  state: unknown;
  seq = 0;
  /** 0 until it is owned. */
  epoch = 0;
  /** Where the log holds the newest durable event. */
  position: LogPosition | null = null;

  #events: { type: string }[] = [];
  #metas: (CommandMeta | null)[] | null = null;
  #meta: CommandMeta | null = null;
  #refusal: Refused | null = null;
  /** How many events the turn had before the present command. */
  #emittedBefore = 0;
  readonly #answered = new Map<string, Reply>();
  /** Ids among them whose events were lost, with the seq they were answered at. */
  readonly #lost = new Map<string, number>();
  readonly #context: { -readonly [K in keyof Context<{ type: string }>]: Context<{ type: string }>[K] };

  constructor(definition: AnyZoneDefinition, address: ZoneAddress) {
    this.address = address;
    this.definition = definition;
    this.state = definition.create(keyOf(address));
    this.#context = {
      now: 0,
      random: () => {
        throw new Error(`${address} has no random numbers before it is owned`);
      },
      emit: (event) => this.#emit(event),
      refuse: (code, message) => {
        this.#refusal = { ok: false, code, message };
      },
    };
  }

  /**
   * Begins to be owned under an epoch.
   * @param random the zone’s numbers under this epoch, a sequence that goes on for as long: not even a rebuild begins it anew
   */
  own(epoch: number, random: () => number): void {
    this.epoch = epoch;
    this.#context.random = random;
  }

  /** Decides one command and answers. Throws what the definition throws; the zone must then be rebuilt from its record. */
  handle(command: unknown, meta: CommandMeta | null, now: number): Reply {
    const id = meta?.id;
    const first = id === undefined ? undefined : this.#answered.get(id);
    if (first !== undefined) return first;
    const reply = this.decide(command, meta, now) ?? { ok: true, seq: this.seq };
    if (id !== undefined) this.#remember(id, reply);
    return reply;
  }

  /** Decides one command that is no retry; null when it was accepted. For commands that nobody waits for this is all. */
  decide(command: unknown, meta: CommandMeta | null, now: number): Refused | null {
    this.#begin(meta, now);
    this.definition.decide(this.state as never, command, this.#context);
    return this.#conclude();
  }

  tick(now: number): void {
    this.#begin(null, now);
    this.definition.tick?.(this.state as never, this.#context);
    this.#conclude();
  }

  /** The events decided since the last call, as one batch; undefined when there are none. */
  takeBatch(now: number): EventBatch | undefined {
    const events = this.#events;
    if (events.length === 0) return undefined;
    const metas = this.#metas;
    this.#events = [];
    this.#metas = null;
    return {
      zone: this.address,
      epoch: this.epoch,
      firstSeq: this.seq - events.length + 1,
      version: this.definition.version,
      time: now,
      events,
      metas,
    };
  }

  checkpoint(): Checkpoint {
    const answered: [string, number][] = [];
    for (const [id, reply] of this.#answered) {
      const seq = reply.ok ? reply.seq : -(this.#lost.get(id) ?? 0);
      if (seq !== 0) answered.push([id, seq]);
    }
    return { state: this.state, answered };
  }

  snapshot(time: number, unrecorded: readonly EventBatch[]): Snapshot {
    return {
      ...this.checkpoint(),
      zone: this.address,
      version: this.definition.version,
      epoch: this.epoch,
      seq: this.seq,
      time,
      position: this.position,
      unrecorded,
    };
  }

  /** Becomes what the record says it was. */
  restore(checkpoint: Checkpoint, seq: number, position: LogPosition | null): void {
    this.state = checkpoint.state;
    this.seq = seq;
    this.position = position;
    this.#events = [];
    this.#metas = null;
    this.#answered.clear();
    this.#lost.clear();
    for (const [id, answeredAt] of checkpoint.answered) {
      this.#remember(id, { ok: true, seq: Math.abs(answeredAt) });
      if (answeredAt < 0) this.#markLost(id, -answeredAt);
    }
  }

  /** The events from a seq on are lost. What they did stands, but a retry must not be told that it is on record. */
  markLost(firstSeq: number): void {
    for (const [id, reply] of this.#answered) if (reply.ok && reply.seq >= firstSeq) this.#markLost(id, reply.seq);
  }

  /**
   * Drops what the failed command emitted, so that only decisions that were answered reach the log. The state may be half
   * changed: it must be restored before anybody sees it.
   */
  undoFailed(): void {
    const failed = this.#events.length - this.#emittedBefore;
    this.#events.length = this.#emittedBefore;
    if (this.#metas) this.#metas.length = this.#emittedBefore;
    this.seq -= failed;
  }

  #begin(meta: CommandMeta | null, now: number): void {
    this.#meta = meta;
    this.#refusal = null;
    this.#context.now = now;
    this.#emittedBefore = this.#events.length;
  }

  #conclude(): Refused | null {
    const refusal = this.#refusal;
    if (refusal !== null && this.#events.length !== this.#emittedBefore)
      throw new Error(`${this.address}: a command was refused after it had emitted events; decide must do one or the other`);
    return refusal;
  }

  #emit(event: { type: string }): void {
    // Counted before it is evolved: should evolve throw half-way, the event is among those that are undone.
    this.#events.push(event);
    this.seq++;
    if (this.#meta !== null && this.#metas === null) this.#metas = new Array(this.#events.length - 1).fill(null);
    this.#metas?.push(this.#meta);
    this.definition.evolve(this.state, event);
  }

  #markLost(id: string, seq: number): void {
    this.#answered.set(id, refused('NOT_RECORDED', `Its events, up to seq ${seq} of ${this.address}, are lost.`));
    this.#lost.set(id, seq);
  }

  #remember(id: string, reply: Reply): void {
    if (this.#answered.size >= ANSWERS_MAX) {
      const oldest = this.#answered.keys().next();
      if (!oldest.done) {
        this.#answered.delete(oldest.value);
        this.#lost.delete(oldest.value);
      }
    }
    this.#answered.set(id, reply);
  }
}
