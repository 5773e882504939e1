export { type LinkedProcess, startLinkedProcess } from './child-process.ts';
export { type EarlyProcess, startEarly } from './early-process.ts';
export { killOrphans, recordProcess } from './own-processes.ts';
export { handleSignals } from './own-signals.ts';
export { lowerPriority } from './priority.ts';
export { SupervisedProcess, type SupervisedProcessOptions } from './supervised-process.ts';
