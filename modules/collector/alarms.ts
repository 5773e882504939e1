import type { Clock } from '@millrace/kernel';

/** A clock like the one given, whose alarms can be called off all at once by whoever ends; none is set after that, by what was still under way. */
export function withAlarms(clock: Clock): { readonly clock: Clock; callOff(): void } {
  const waiting = new Set<() => void>();
  let isOver = false;
  return {
    clock: {
      now: () => clock.now(),
      elapsed: () => clock.elapsed(),
      soon: (callback) => clock.soon(callback),
      after: (ms, callback) => {
        if (isOver) return () => {};
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
      isOver = true;
      for (const cancel of waiting) cancel();
      waiting.clear();
    },
  };
}
