import { defineZone } from '../definition.ts';

export type TurnstileCommand = { type: 'Admit'; people: number } | { type: 'Break' } | { type: 'BreakHalfway' } | { type: 'Draw' };
export type TurnstileEvent = { type: 'Admitted'; people: number } | { type: 'Drawn'; number: number } | { type: 'Ticked'; at: number };
export interface Turnstile {
  admitted: number;
  capacity: number;
  drawn: number[];
  ticks: number[];
}

/** The smallest zone with rules, for the kernel’s own tests. */
export const turnstile = defineZone<Turnstile, TurnstileCommand, TurnstileEvent>({
  kind: 'turnstile',
  version: 1,
  create: () => ({ admitted: 0, capacity: 100, drawn: [], ticks: [] }),
  decide(state, command, { emit, refuse, random }) {
    switch (command.type) {
      case 'Admit':
        if (state.admitted + command.people > state.capacity)
          return refuse('FULL', `only ${state.capacity - state.admitted} more may enter, asked for ${command.people}`);
        return emit({ type: 'Admitted', people: command.people });
      case 'Draw':
        return emit({ type: 'Drawn', number: random() });
      case 'Break':
        throw new Error('broken on purpose');
      case 'BreakHalfway':
        emit({ type: 'Admitted', people: 1 });
        throw new Error('broken halfway');
    }
  },
  evolve(state, event) {
    if (event.type === 'Admitted') state.admitted += event.people;
    else if (event.type === 'Drawn') state.drawn.push(event.number);
    else state.ticks.push(event.at);
  },
});

/** The same, with 20 ticks per second. */
export const beating = defineZone<Turnstile, TurnstileCommand, TurnstileEvent>({
  ...turnstile,
  kind: 'beating',
  tickMs: 50,
  tick: (_state, { emit, now }) => emit({ type: 'Ticked', at: now }),
});
