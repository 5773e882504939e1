import { constants, setPriority } from 'node:os';

/**
 * Runs a process below the priority of the server and its zones: projections may be late, decisions may not.
 * @param pid the process; without it, this one
 */
export function lowerPriority(pid?: number): void {
  try {
    setPriority(pid ?? 0, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // The process has ended already, or the system does not allow it. The process then runs with normal priority.
  }
}
