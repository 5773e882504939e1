/** Longer than a server needs to stop everything that uses this process. */
const SERVER_MS_MAX = 5_000;

/**
 * Handles the signals of a child process of the server. A terminal sends SIGINT, and systemd SIGTERM, to the whole process group. The server stops
 * the child when nothing needs it any more. A SIGTERM to the child alone ends it after `SERVER_MS_MAX`.
 */
export function handleSignals(end: () => Promise<void>): void {
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => setTimeout(() => void end(), SERVER_MS_MAX));
}
