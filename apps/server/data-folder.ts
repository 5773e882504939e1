import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import type { ModuleContract } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import { killOrphans } from '@millrace/processes';
import { openDuckDbSeries, type SeriesStore } from '@millrace/series';
import type { Logger } from '@millrace/telemetry';
import { keepPrivate } from './private-files.ts';
import { requireSoundStores, topicFolders } from './stores.ts';

/** Another process has the data folder open. */
export class DataFolderInUse extends UserError {
  constructor(folder: string) {
    super(`the data folder ${folder} is in use by another Millrace`, 'Stop that server first, or choose another folder with --data.');
  }
}

/** The data folder of a server, checked and locked. */
export interface DataFolder {
  /** The series store. Only one process can have it open, so it is also the lock of the folder. */
  readonly series: SeriesStore;
  /** Call it after a successful start. Returns a function to call after an orderly stop. */
  ready(): () => void;
}

/**
 * Locks the data folder, ends processes that an earlier server left behind, and checks the stores of every topic before they are opened.
 * @throws DataFolderInUse, UserError
 */
export async function openDataFolder(settings: Settings, contracts: readonly ModuleContract[], logger: Logger): Promise<DataFolder> {
  const { data } = settings;
  const opened = requireWritable(data);
  if (opened > 0)
    logger.warn({ folder: data, opened }, 'other users of this machine had access to files of the data folder; their access was removed');
  // Opening the series store excludes other servers, so none writes to the stores during the check.
  const series = await openSeries(settings);
  for (const folder of new Set(['.', ...topicFolders(contracts)])) await killOrphans(join(data, folder), logger);
  const { ready } = await requireSoundStores(data, contracts, logger);
  return { series, ready };
}

/** @returns how many files and folders other users of the machine had access to */
function requireWritable(folder: string): number {
  try {
    const opened = keepPrivate(folder);
    accessSync(folder, constants.W_OK);
    return opened;
  } catch (error) {
    throw new UserError(
      `the data folder ${folder} cannot be written: ${messageOf(error)}`,
      'Choose another with --data, or correct its permissions.',
    );
  }
}

/**
 * Opens the series store. Only one process can have it open.
 * @throws DataFolderInUse when another process has it open
 * @throws UserError when it cannot be opened
 */
export async function openSeries(settings: Settings): ReturnType<typeof openDuckDbSeries> {
  try {
    return await openDuckDbSeries({ folder: join(settings.data, 'series'), ...settings.series });
  } catch (error) {
    if (/lock/i.test(messageOf(error))) throw new DataFolderInUse(settings.data);
    throw new UserError(
      `the history in ${join(settings.data, 'series')} cannot be opened: ${messageOf(error)}`,
      'If it is damaged, move that folder elsewhere, or restore it from a backup. Without it a start creates a new one from the remaining log.',
    );
  }
}
