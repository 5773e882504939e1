import type { CommandContext } from '@millrace/module';
import { createLogger } from '@millrace/telemetry';
import { withDatabase } from '../database/server-database.ts';
import { writeOutput } from './output.ts';
import { currentFolder, type ServingFlags, settingsFor } from './settings.ts';

/** Context of a command of a module. @throws ConfigError */
export function commandContext(flags: ServingFlags): CommandContext {
  const settings = settingsFor(flags);
  return {
    settings,
    folder: currentFolder(),
    write: writeOutput,
    fail: () => {
      process.exitCode = 1;
    },
    withDatabase: (work) => withDatabase(settings, createLogger(settings.logging.level), work),
  };
}
