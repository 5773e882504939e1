/**
 * What a zone is: one state, one owner, changed by events alone. `decide` turns a command into events or a refusal,
 * `evolve` folds an event into the state; neither reads a clock, a file or a random number of its own, so the same
 * inputs give the same events, bit for bit, live and in every replay.
 */
export interface ZoneDefinition<State, Command, Event> {
  /** Name of the kind; the first part of every address `kind/key`. */
  readonly kind: string;
  /** Raised when the shape of events or state changes. */
  readonly version: number;
  create(key: string): State;
  /** Must not change `state`: it emits, and `evolve` changes. */
  decide(state: Readonly<State>, command: Command, context: Context<Event>): void;
  /** May change `state` in place, but must copy whatever part of the event it will change later: the log still has to write it. */
  evolve(state: State, event: Event): void;
  /** Fixed-step zones: length of a step in ms, and what happens in each. */
  readonly tickMs?: number;
  tick?(state: Readonly<State>, context: Context<Event>): void;
  /** Makes an event of an older `version` into one of today’s. */
  upcast?(event: unknown, version: number): Event;
  /** Makes a snapshot’s state of an older `version` into one of today’s; without it such snapshots are passed over. */
  upcastState?(state: unknown, version: number): State;
}

export interface Context<Event> {
  /** When the command is decided, epoch ms; for a tick, the moment the tick stands for. */
  readonly now: number;
  /** The next number in [0, 1) of a sequence that depends on the zone and its inputs only. */
  random(): number;
  /** Records a fact; the state has it when this returns. */
  emit(event: Event): void;
  /** Refuses the command. Must be the only thing done: a command is refused whole. */
  refuse(code: string, message: string): void;
}

// biome-ignore lint/suspicious/noExplicitAny: a host owns zones of many kinds; each is typed where it is defined and addressed.
export type AnyZoneDefinition = ZoneDefinition<any, any, any>;

export function defineZone<State, Command, Event extends { type: string }>(
  definition: ZoneDefinition<State, Command, Event>,
): ZoneDefinition<State, Command, Event> {
  if (!/^[a-z][a-z0-9-]*$/.test(definition.kind))
    throw new TypeError(`zone kind "${definition.kind}" must be lower-case letters, digits and hyphens`);
  if (definition.tick && !((definition.tickMs ?? 0) > 0))
    throw new TypeError(`zone kind "${definition.kind}" has a tick and needs a positive tickMs`);
  return definition;
}

/** `kind/key`. */
export type ZoneAddress = string;

export function zoneAddress(kind: string, key: string): ZoneAddress {
  return `${kind}/${key}`;
}

export function kindOf(address: ZoneAddress): string {
  return address.slice(0, address.indexOf('/'));
}

export function keyOf(address: ZoneAddress): string {
  return address.slice(address.indexOf('/') + 1);
}

/** What goes with a command: an id makes retries safe, the rest is written beside the events it causes. */
export interface CommandMeta {
  readonly id?: string;
  readonly correlation?: string;
  readonly actor?: string;
  readonly tenant?: string;
}

export type Reply = Accepted | Refused;

interface Accepted {
  readonly ok: true;
  /** The zone’s seq after the command. */
  readonly seq: number;
}

export interface Refused {
  readonly ok: false;
  readonly code: string;
  readonly message: string;
}

/** Refusals the kernel itself gives; every other code is the zone definition’s own. */
export const KERNEL_REFUSALS = {
  BUSY: 'The zone’s mailbox is full.',
  ZONE_FAILED: 'The zone failed on this command and was set back to its record.',
  ZONE_STOPPED: 'The zone does not run here.',
  LOG_UNAVAILABLE: 'The log is unavailable and the spool is full, so nothing can be promised as durable.',
  OUTCOME_UNKNOWN: 'The host was closed before the log had confirmed the decision.',
  NOT_RECORDED: 'The decision stood, but its record was lost while the log was unavailable.',
} as const;

export function refused(code: keyof typeof KERNEL_REFUSALS, detail: string): Refused {
  return { ok: false, code, message: `${KERNEL_REFUSALS[code]} ${detail}` };
}
