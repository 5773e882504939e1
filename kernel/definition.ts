/**
 * The code of a zone kind: one state with one owner, changed by events only. `decide` turns a command into events or a refusal;
 * `evolve` applies an event to the state. Neither reads a clock, a file or a random number except through `context`. So the
 * same inputs give the same events, bit for bit, live and in every replay.
 */
export interface ZoneDefinition<State, Command, Event> {
  /** Name of the kind, and first part of every address `kind/key`. Lower-case letters, digits and hyphens. */
  readonly kind: string;
  /** Raise it when the shape of events or state changes. */
  readonly version: number;
  /** Initial state of the zone with this key. */
  create(key: string): State;
  /** Emits events or refuses the command. Must not change `state`: only `evolve` does. */
  decide(state: Readonly<State>, command: Command, context: Context<Event>): void;
  /** Applies an event. May change `state` in place. Must copy parts of the event that it changes later: the log still writes it. */
  evolve(state: State, event: Event): void;
  /** Fixed-step zones: length of a step in ms. Must be positive when `tick` is defined. */
  readonly tickMs?: number;
  /** Fixed-step zones: runs one step. Must not change `state`: it emits events. */
  tick?(state: Readonly<State>, context: Context<Event>): void;
  /**
   * Makes replies to commands with an id durable: a retry gets the first reply, a refusal too, after any recovery. A reply without events is
   * recorded as an event of the kernel. Without it, the newest 1,024 acceptances with events are durable, and 1,024 refusals are in memory.
   */
  readonly repliesKept?: RepliesKept;
  /** Converts an event of an older `version` to today’s. Without it, recovery fails on such events. */
  upcast?(event: unknown, version: number): Event;
  /** Converts a state of an older `version` to today’s. Without it, such snapshots are skipped, and such lost ranges fail. */
  upcastState?(state: unknown, version: number): State;
}

/** The newest `number` acceptances and as many refusals; of these, those of the last `ms` (default: any age). */
export interface RepliesKept {
  readonly number: number;
  readonly ms?: number;
}

export interface Context<Event> {
  /** Time of the decision, epoch ms. In a tick: the time that the step stands for. */
  readonly now: number;
  /** Next number in [0, 1) of the zone’s sequence. The sequence depends only on the zone and its epoch. */
  random(): number;
  /** Records an event. The state includes it when the call returns. */
  emit(event: Event): void;
  /** Refuses the whole command. A `decide` that refuses must not emit events: doing both makes the zone fail. */
  refuse(code: string, message: string): void;
}

// biome-ignore lint/suspicious/noExplicitAny: a host owns zones of many kinds; each is typed where it is defined and addressed.
export type AnyZoneDefinition = ZoneDefinition<any, any, any>;

/**
 * Returns `definition`, checked and typed.
 * @throws TypeError when `kind` is malformed, or when `tick` is defined without a positive `tickMs`
 */
export function defineZone<State, Command, Event extends { type: string }>(
  definition: ZoneDefinition<State, Command, Event>,
): ZoneDefinition<State, Command, Event> {
  if (!/^[a-z][a-z0-9-]*$/.test(definition.kind))
    throw new TypeError(`Invalid zone kind "${definition.kind}". Use lower-case letters, digits and hyphens, with a letter first.`);
  if (definition.tick && !((definition.tickMs ?? 0) > 0))
    throw new TypeError(`Zone kind "${definition.kind}" has a tick without a positive tickMs. Set tickMs to the step length in ms.`);
  return definition;
}
