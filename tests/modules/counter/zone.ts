import { defineZone } from '@millrace/kernel';

export interface CounterState {
  count: number;
}
export interface CounterCommand {
  readonly type: 'Increment';
}
export interface CounterEvent {
  readonly type: 'Incremented';
}

export const counterZone = defineZone<CounterState, CounterCommand, CounterEvent>({
  kind: 'counter',
  version: 1,
  create: () => ({ count: 0 }),
  decide: (_state, _command, { emit }) => emit({ type: 'Incremented' }),
  evolve: (state) => {
    state.count++;
  },
});
