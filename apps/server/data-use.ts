import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import { DataFolderInUse, openSeries } from './data-folder.ts';

/** Whether a server uses the data folder while something is done with it; `unused` also keeps one from starting until then. */
export type DataUse = 'unused' | 'in use';

/**
 * Does something with a data folder, and tells it whether a server is running there. Only one process at a time has the history open: where this process
 * gets it, no server runs, and none can start until the work is done.
 */
export async function withDataUse<T>(settings: Settings, work: (use: DataUse) => Promise<T>): Promise<T> {
  // Without a history no server has run here; opening it would make one.
  if (!existsSync(join(settings.data, 'series'))) return work('unused');
  const series = await openSeries(settings).catch((error: unknown) => {
    if (error instanceof DataFolderInUse) return 'in use' as const;
    // No server can run with a history that cannot be opened.
    if (error instanceof UserError) return null;
    throw error;
  });
  if (series === 'in use') return work('in use');
  try {
    return await work('unused');
  } finally {
    await series?.close();
  }
}
