import type { Clock, ZoneHost } from '@millrace/kernel';

/** A snapshot that takes this long, in ms, ends its round: its store does not respond, and each other zone would wait for it as well. */
const SLOW_MS = 4_000;

/** Times between two rounds of snapshots, ms. */
export interface SnapshotTimes {
  /** Default 5 s. */
  readonly hotEveryMs?: number;
  /** Default 60 s. */
  readonly coldEveryMs?: number;
}

/**
 * Takes snapshots of the zones of a host in rounds. A round takes them one by one, so that many zones do not block a turn together. A zone
 * without changes since its last snapshot is skipped.
 * @returns a function that ends the rounds. Call it before `host.close()`, which takes the last snapshots itself.
 */
export function scheduleSnapshots(
  host: Pick<ZoneHost, 'addresses' | 'snapshot'>,
  clock: Clock,
  { hotEveryMs = 5_000, coldEveryMs = 60_000 }: SnapshotTimes = {},
): () => void {
  let isStopped = false;
  const round = async (kind: 'hot' | 'cold') => {
    for (const address of host.addresses()) {
      const started = clock.elapsed();
      await host.snapshot(address, kind);
      if (isStopped || clock.elapsed() - started >= SLOW_MS) return;
    }
  };
  const repeat = (kind: 'hot' | 'cold', everyMs: number) => {
    let cancel = () => {};
    const next = () => {
      cancel = clock.after(everyMs, () => {
        void round(kind).finally(() => {
          if (!isStopped) next();
        });
      });
    };
    next();
    return () => cancel();
  };
  const cancels = [repeat('hot', hotEveryMs), repeat('cold', coldEveryMs)];
  return () => {
    isStopped = true;
    for (const cancel of cancels) cancel();
  };
}
