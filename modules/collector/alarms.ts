import type { Clock } from '@millrace/kernel';

/** A clock like the one given, whose alarms can be called off all at once by whoever ends. */
export function withAlarms(clock: Clock): { readonly clock: Clock; callOff(): void } {
  const waiting = new Set<() => void>();
  return {
    clock: {
      now: () => clock.now(),
      elapsed: () => clock.elapsed(),
      soon: (callback) => clock.soon(callback),
      after: (ms, callback) => {
        const cancel = clock.after(ms, () => {
          waiting.delete(cancel);
          callback();
        });
        waiting.add(cancel);
        return () => {
          waiting.delete(cancel);
          cancel();
        };
      },
    },
    callOff: () => {
      for (const cancel of waiting) cancel();
      waiting.clear();
    },
  };
}
