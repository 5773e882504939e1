export { endOrphans, noteProcess } from './own-processes.ts';
export { handleSignals } from './own-signals.ts';
export { type ProcessOrders, SupervisedProcess } from './supervised-process.ts';
