export { given } from './given.ts';
export { guardedLog } from './guarded-log.ts';
export { newHost, stateAt, type TestHost } from './host.ts';
export { ManualClock, MemoryLog, MemorySnapshots, MemorySpools } from './memory.ts';
export { openNumbers } from './open-numbers.ts';
export { CountingClock, settled } from './timers.ts';
export { beating, type Turnstile, type TurnstileCommand, type TurnstileEvent, turnstile } from './turnstile.ts';
