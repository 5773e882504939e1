import type { Running } from '../platform.ts';

/** Timeout of an orderly stop, ms; after it the process exits. */
const STOP_MS_MAX = 25_000;
/** Maximum time that the end of a start waits for its open transactions, ms. */
const TRANSACTIONS_MS_MAX = 3_000;

let running: Pick<Running, 'stop'> | null = null;
let isStopping = false;

/** From now on, SIGTERM and SIGINT end the process with code 0, also while it starts. Without a handler, the first process of a container ignores them. */
export function handleStopSignals(): void {
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** From now on, the signals stop a server in order. Until then they end the process as a crash does, which loses nothing that was acknowledged. */
export function stopOnSignal(server: Pick<Running, 'stop'>): void {
  running = server;
}

/** The result of a part of the start. Never settles when it fails because the server stops: the end of the stop exits. */
export function unlessStopping<Result>(part: Promise<Result>): Promise<Result> {
  return part.catch((error) => {
    if (!isStopping) throw error;
    return new Promise(() => {});
  });
}

function stop(): void {
  if (isStopping) return;
  isStopping = true;
  setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
  (running ? running.stop() : startEnded()).then(
    () => process.exit(0),
    (error) => {
      console.error('millrace: the stop failed:', error);
      process.exit(1);
    },
  );
}

async function startEnded(): Promise<void> {
  // A process that exits within a transaction of a shared store is killed, and its exit status lost. Not imported before the configuration is checked.
  const { transactionsEnded } = await import('@millrace/lmdb');
  await transactionsEnded(TRANSACTIONS_MS_MAX);
}
