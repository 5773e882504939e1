/**
 * Runs work periodically, never concurrently. A run that takes longer than the interval delays the next one.
 * @returns function that stops it; resolves when the current run has ended
 */
export function every(everyMs: number, run: () => unknown, onFailure: (error: unknown) => void): () => Promise<void> {
  let running: Promise<void> | null = null;
  const timer = setInterval(() => {
    running ??= (async () => {
      try {
        await run();
      } catch (error) {
        onFailure(error);
      } finally {
        running = null;
      }
    })();
  }, everyMs);
  return async () => {
    clearInterval(timer);
    await running;
  };
}
