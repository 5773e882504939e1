import assert from 'node:assert/strict';
import type { ZoneDefinition } from '../definition.ts';
import { Zone } from '../zone.ts';
import { openNumbers } from './open-numbers.ts';

/**
 * Tests of a rule read as sentences and need no mock:
 *
 *     given(turnstile, { type: 'Admitted', people: 99 }).when({ people: 2 }).refused('FULL')
 *     given(turnstile).when({ people: 2 }).emits({ type: 'Admitted', people: 2 })
 *
 * Events are frozen before they are evolved, so that an `evolve` that changes its event is caught here.
 */
export function given<State, Command, Event extends { type: string }>(
  definition: ZoneDefinition<State, Command, Event>,
  ...past: Event[]
): Given<State, Command, Event> {
  return new Given(definition, past);
}

class Given<State, Command, Event extends { type: string }> {
  readonly #zone: Zone;
  #now = 0;
  #refusal: { code: string; message: string } | null = null;
  #emitted: Event[] = [];

  constructor(definition: ZoneDefinition<State, Command, Event>, past: Event[]) {
    const frozen: ZoneDefinition<State, Command, Event> = {
      ...definition,
      evolve: (state, event) => definition.evolve(state, deepFreeze(event)),
    };
    this.#zone = new Zone(frozen, `${definition.kind}/test`);
    this.#zone.own(1, openNumbers(this.#zone.address, 1, 1));
    for (const event of past) frozen.evolve(this.#zone.state as State, event);
    this.#zone.seq = past.length;
  }

  /** Sets `context.now` for the commands that follow. */
  at(now: number): this {
    this.#now = now;
    return this;
  }

  when(...commands: Command[]): this {
    for (const command of commands) {
      const reply = this.#zone.handle(command, null, this.#now);
      this.#refusal = reply.ok ? null : reply;
      this.#emitted = (this.#zone.takeBatch(this.#now)?.events ?? []) as unknown as Event[];
    }
    return this;
  }

  ticked(steps = 1): this {
    for (let step = 0; step < steps; step++) this.#zone.tick(this.#now);
    this.#emitted = (this.#zone.takeBatch(this.#now)?.events ?? []) as unknown as Event[];
    return this;
  }

  /** Asserts that the last command emitted exactly these events. */
  emits(...events: Event[]): this {
    assert.equal(this.#refusal, null);
    assert.deepEqual(this.#emitted, events);
    return this;
  }

  /** Asserts that the last command emitted events of exactly these types. */
  emitsTypes(...types: Event['type'][]): this {
    assert.equal(this.#refusal, null);
    assert.deepEqual(
      this.#emitted.map((event) => event.type),
      types,
    );
    return this;
  }

  nothing(): this {
    return this.emits();
  }

  refused(code: string): this {
    assert.equal(this.#refusal?.code, code);
    assert.deepEqual(this.#emitted, []);
    return this;
  }

  /** Passes the current state to assertions. */
  state(look: (state: State) => void): this {
    look(this.#zone.state as State);
    return this;
  }

  get events(): Event[] {
    return this.#emitted;
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
