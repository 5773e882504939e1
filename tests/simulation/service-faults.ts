import type { Machine } from './scheduler.ts';

/** Temporary faults of a service. */
export interface ServiceFaults {
  /** Requests do not arrive. */
  unavailable: boolean;
  /** Additional delay of each response, ms. */
  slowMs: number;
  /** Requests are executed, and their responses are lost. */
  mute: boolean;
  /** Requests are neither executed nor answered, not even later. */
  hung: boolean;
  /** Writes fail. */
  readOnly: boolean;
}

export const noFaults = (): ServiceFaults => ({ unavailable: false, slowMs: 0, mute: false, hung: false, readOnly: false });

/** A request that is never answered. */
export const never = <T>() => new Promise<T>(() => {});

/** Sends a request to a service that may have faults. */
export function asked<T>(machine: Machine, faults: ServiceFaults, what: string, work: () => T): Promise<T> {
  const ms = machine.scheduler.between(0.1, 2) + faults.slowMs;
  if (faults.hung) return never();
  return machine.ask(ms, () => {
    if (faults.unavailable) throw new Error(`${what} is unavailable`);
    const done = work();
    if (faults.mute) throw new Error(`${what} did not answer`);
    return done;
  });
}

/** Like `asked`, for a write. */
export function askedToChange<T>(machine: Machine, faults: ServiceFaults, what: string, work: () => T): Promise<T> {
  return asked(machine, faults, what, () => {
    if (faults.readOnly) throw new Error(`EROFS: ${what} is read-only`);
    return work();
  });
}
