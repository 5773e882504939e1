import { join } from 'node:path';
import { type EarlyProcess, SUPERVISED_FLAGS } from '@millrace/processes/early-process';

/** The process of the embedded database. */
export const DATABASE_PROCESS: EarlyProcess = { file: join(import.meta.dirname, 'database-process.ts'), flags: SUPERVISED_FLAGS };
