import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import { DataFolderInUse, openSeries } from './data-folder.ts';

/** Whether a server uses the data folder. While `unused` is reported, no server can start. */
export type DataUse = 'unused' | 'in use';

/**
 * Calls `work` with the use of the data folder. Only one process can have the series store open: if this process opens it, no server
 * runs, and none can start until the work is done.
 */
export async function withDataUse<T>(settings: Settings, work: (use: DataUse) => Promise<T>): Promise<T> {
  // Without a series folder no server has run here; opening the store would create it.
  if (!existsSync(join(settings.data, 'series'))) return work('unused');
  const series = await openSeries(settings).catch((error: unknown) => {
    if (error instanceof DataFolderInUse) return 'in use' as const;
    // No server can run with a series store that cannot be opened.
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
