import { defineZone } from '@millrace/kernel';

export interface CounterState {
  count: number;
}
export interface CounterCommand {
  readonly type: 'Increment';
  readonly by: number;
}
export interface CounterEvent {
  readonly type: 'Incremented';
  readonly by: number;
}

export const counterZone = defineZone<CounterState, CounterCommand, CounterEvent>({
  kind: 'counter',
  version: 1,
  create: () => ({ count: 0 }),
  decide: (_state, { by }, { emit }) => emit({ type: 'Incremented', by }),
  evolve: (state, { by }) => {
    state.count += by;
  },
});
