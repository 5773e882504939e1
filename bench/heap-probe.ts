import { readFileSync } from 'node:fs';

/*
 * Loaded into a server before its own code: at SIGUSR2 it collects all garbage and writes what is left to standard error, bytes: heap, and resident memory
 * without the pages of files that are mapped, which the system takes back when it needs them (LMDB maps all of the log).
 */

process.on('SIGUSR2', () => {
  // Twice: what finalizers let go of is collected by the second.
  globalThis.gc?.();
  setImmediate(() => {
    globalThis.gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    process.stderr.write(`HEAP ${heapUsed + external} ${anonymousBytes() ?? rss}\n`);
  });
});

/** As Linux counts it; undefined elsewhere. */
function anonymousBytes(): number | undefined {
  try {
    const kib = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}
