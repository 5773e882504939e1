/** Runs work again and again, `everyMs` apart, never twice at a time. @returns stops it; resolves when a run that goes on has ended */
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
