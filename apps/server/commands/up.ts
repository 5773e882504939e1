import { join } from 'node:path';
import type { Settings } from '@millrace/config';
import { startEarly } from '@millrace/processes/early-process';
import { collectGarbage } from '../collect-garbage.ts';
import { DATABASE_PROCESS } from '../database/process-file.ts';
import type { Running } from '../platform.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

/** Timeout of an orderly stop, ms; after it the process exits. */
const STOP_MS_MAX = 25_000;

export const CONSOLE_FOLDER = join(import.meta.dirname, '..', '..', 'web', 'dist');

export async function up(flags: ServingFlags): Promise<void> {
  const settings = settingsFor(flags);
  if (settings.role === 'gateway') return runGateway(settings);
  // Its process loads its modules while this one loads the others.
  if (settings.database.url === undefined && !settings.demo) startEarly(DATABASE_PROCESS);
  // Loaded after the configuration is checked, so that an error is reported at once.
  const { startPlatform } = await import('../platform.ts');
  const running = await startPlatform({ settings, console: CONSOLE_FOLDER });
  stopOnSignal(running);
  const link = await running.ownerLink();
  if (link !== null) console.error(`\nThere is no user yet. Create the owner’s account within seven days at\n  ${link}\n`);
  console.log(`ready ${running.url}`);
  setImmediate(collectGarbage);
}

/** Runs a gateway in front of other servers. */
async function runGateway(settings: Settings): Promise<void> {
  const { startGateway } = await import('../gateway.ts');
  const gateway = await startGateway(settings, CONSOLE_FOLDER);
  stopOnSignal(gateway);
  console.log(`ready ${gateway.url}`);
  setImmediate(collectGarbage);
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
        console.error('millrace: the stop failed:', error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}
