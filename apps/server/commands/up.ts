import { join } from 'node:path';
import type { Settings } from '@millrace/config';
import { collectGarbage } from '../collect-garbage.ts';
import { type Running, startPlatform } from '../platform.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

/** Longest an orderly end may take; then the process ends anyway, and the log is what it is. */
const STOP_MS_MAX = 25_000;

export const CONSOLE_FOLDER = join(import.meta.dirname, '..', '..', 'web', 'dist');

export async function up(flags: ServingFlags): Promise<void> {
  const settings = settingsFor(flags);
  if (settings.role === 'gateway') return runGateway(settings);
  const running = await startPlatform({ settings, console: CONSOLE_FOLDER });
  stopOnSignal(running);
  const link = await running.ownerLink();
  if (link !== null) console.error(`\nNobody can sign in yet. Become the owner, within seven days, at\n  ${link}\n`);
  collectGarbage();
  console.log(`ready ${running.url}`);
}

/** Stands before the servers that do everything else. */
async function runGateway(settings: Settings): Promise<void> {
  const { startGateway } = await import('../gateway.ts');
  const gateway = await startGateway(settings, CONSOLE_FOLDER);
  stopOnSignal(gateway);
  collectGarbage();
  console.log(`ready ${gateway.url}`);
}

export function stopOnSignal(running: Pick<Running, 'stop'>): void {
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
    running.stop().then(
      () => process.exit(0),
      (error) => {
        console.error('millrace: the end was not orderly:', error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}
