import { join } from 'node:path';
import type { Settings } from '@millrace/config';
import { startEarly } from '@millrace/processes/early-process';
import { collectGarbage } from '../collect-garbage.ts';
import { DATABASE_PROCESS } from '../database/process-file.ts';
import { type ServingFlags, settingsFor } from './settings.ts';
import { handleStopSignals, stopOnSignal, unlessStopping } from './stop-signals.ts';

export const CONSOLE_FOLDER = join(import.meta.dirname, '..', '..', 'web', 'dist');

export async function up(flags: ServingFlags): Promise<void> {
  const settings = settingsFor(flags);
  handleStopSignals();
  if (settings.role === 'gateway') return runGateway(settings);
  // Its process loads its modules while this one loads the others.
  if (settings.database.url === undefined && !settings.demo) startEarly(DATABASE_PROCESS);
  // Loaded after the configuration is checked, so that an error is reported at once.
  const { startPlatform } = await import('../platform.ts');
  const running = await unlessStopping(startPlatform({ settings, console: CONSOLE_FOLDER }));
  stopOnSignal(running);
  const link = await unlessStopping(running.ownerLink());
  if (link !== null) console.error(`\nThere is no user yet. Create the owner’s account within seven days at\n  ${link}\n`);
  console.log(`ready ${running.url}`);
  setImmediate(collectGarbage);
}

/** Runs a gateway in front of other servers. */
async function runGateway(settings: Settings): Promise<void> {
  const { startGateway } = await import('../gateway.ts');
  const gateway = await unlessStopping(startGateway(settings, CONSOLE_FOLDER));
  stopOnSignal(gateway);
  console.log(`ready ${gateway.url}`);
  setImmediate(collectGarbage);
}
