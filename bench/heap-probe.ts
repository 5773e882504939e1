import { readFileSync } from 'node:fs';

/*
 * Preloaded into a server: on SIGUSR2 it runs a full garbage collection and writes two sizes to standard error, bytes: heap, and resident memory
 * without mapped file pages, which the system can reclaim (LMDB maps the whole log).
 */

process.on('SIGUSR2', () => {
  // Twice: the second run collects what finalizers released.
  globalThis.gc?.();
  setImmediate(() => {
    globalThis.gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    process.stderr.write(`HEAP ${heapUsed + external} ${anonymousBytes() ?? rss}\n`);
  });
});

/** Resident anonymous memory, bytes. Undefined on systems other than Linux. */
function anonymousBytes(): number | undefined {
  try {
    const kib = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}
