import type { Clock } from '@millrace/kernel';

/** Wraps a clock so that all pending timers can be cancelled at once. After that, no new timer is started. */
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
