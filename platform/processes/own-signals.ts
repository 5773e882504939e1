/** Longer than a server takes to stop what uses this process. */
const SERVER_MS_MAX = 5_000;

/**
 * Signals of a process of the server’s. A terminal sends SIGINT, and systemd SIGTERM, to all processes of the group: the server stops this one when nothing
 * needs it any more. Where only this process was meant, it ends by itself a little later.
 */
export function handleSignals(end: () => Promise<void>): void {
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => setTimeout(() => void end(), SERVER_MS_MAX));
}
