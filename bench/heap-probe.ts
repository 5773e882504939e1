/*
 * Loaded into a server before its own code: at SIGUSR2 it collects all garbage and writes what is left to standard error, bytes.
 */

process.on('SIGUSR2', () => {
  // Twice: what finalizers let go of is collected by the second.
  globalThis.gc?.();
  setImmediate(() => {
    globalThis.gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    process.stderr.write(`HEAP ${heapUsed + external} ${rss}\n`);
  });
});
