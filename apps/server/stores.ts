import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import { CONTRACTS, type ModuleContract, type TopicContract } from '@millrace/contracts';
import { type CheckDepth, checkLmdb } from '@millrace/lmdb';
import type { Logger } from '@millrace/telemetry';
import { STORE_FOLDERS } from '@millrace/topics';

/** Exists while a start is under way, and for a minute after it: what is still there at the next start tells that the last one came to nothing. */
const MARKER = 'starting';
const MARKER_MS = 60_000;
/** Pages that a start looks at after one that came to nothing: 256 MiB of a store. */
const PAGES_AT_START_MAX = 65_536;
/** A process of a server that was killed may still be writing. */
const CHECKS = 3;
const CHECK_AGAIN_MS = 200;

/** A store in LMDB files. */
export interface LmdbStore {
  readonly name: string;
  readonly folder: string;
  /** Of the hot snapshots nothing is lost with the store: the log and the cold snapshots have it. */
  readonly kind: 'log' | 'hot snapshots';
}

/** Folders of the topics of some modules, below the data folder. */
export function topicFolders(contracts: readonly ModuleContract[]): string[] {
  return [...new Set(contracts.flatMap(({ topics = {} }) => Object.values<TopicContract>(topics).map(({ folder }) => folder)))];
}

/** Every LMDB store that a data folder may have. */
export function lmdbStores(data: string, contracts: readonly ModuleContract[] = CONTRACTS): LmdbStore[] {
  return topicFolders(contracts).flatMap((part) => {
    const store = (kind: LmdbStore['kind'], ...path: string[]) => ({ name: join(part, ...path), folder: join(data, part, ...path), kind });
    return [store('log', STORE_FOLDERS.log), store('hot snapshots', STORE_FOLDERS.hot)];
  });
}

interface Starting {
  /** The start has succeeded. @returns to be called when the server stops in order */
  ready(): () => void;
}

/**
 * Checks every LMDB store before it is opened: LMDB ends the process with a signal, without a word, when it comes to a damaged page. Damaged hot snapshots
 * are set aside and made anew from the log and the cold snapshots.
 * @throws UserError when a log is damaged
 */
export async function requireSoundStores(
  data: string,
  contracts: readonly ModuleContract[],
  logger: Pick<Logger, 'error'>,
): Promise<Starting> {
  const marker = join(data, MARKER);
  const depth = existsSync(marker) ? 'thorough' : 'quick';
  for (const store of lmdbStores(data, contracts)) {
    const damage = await damageOf(store, depth, PAGES_AT_START_MAX);
    if (damage === null) continue;
    if (store.kind === 'log')
      throw new UserError(
        `the ${store.name} of the data folder ${data} is damaged: ${damage}`,
        `"npm run millrace -- doctor --repair --data ${data}" makes a new log of what can be read, and keeps the damaged one.`,
      );
    const kept = setAside(store.folder);
    logger.error(
      { store: store.name, damage, kept },
      'damaged hot snapshots were set aside; zones come back from the log and the cold snapshots',
    );
  }
  // On a full disk there is no marker, and no reason to fail.
  tryTo(() => writeFileSync(marker, String(process.pid)));
  const remove = () => tryTo(() => rmSync(marker, { force: true }));
  return {
    ready: () => {
      const timer = setTimeout(remove, MARKER_MS).unref();
      return () => {
        clearTimeout(timer);
        remove();
      };
    },
  };
}

/** Renames a damaged store, so that a new one can take its place. Of those renamed before none is kept. @returns its new path */
export function setAside(folder: string, keepOlder = false): string {
  const prefix = `${basename(folder)}.damaged-`;
  const older = readdirSync(dirname(folder)).filter((name) => name.startsWith(prefix));
  if (!keepOlder) for (const name of older) rmSync(join(dirname(folder), name), { recursive: true, force: true });
  const kept = join(dirname(folder), `${prefix}${new Date().toISOString().replaceAll(/[:.]/g, '-')}`);
  renameSync(folder, kept);
  return kept;
}

/** Where a repair makes the new store. */
export const repairedOf = (folder: string) => `${folder}.repaired`;

/** Whether a repair has set the damaged store aside, and was interrupted before the new one, which is whole then, had its name. */
export const isHalfRepaired = (folder: string) => !existsSync(folder) && existsSync(repairedOf(folder));

/** What is wrong with a store, also a few moments later; null when nothing is. */
export async function damageOf({ folder }: LmdbStore, depth: CheckDepth, pagesMax?: number): Promise<string | null> {
  if (isHalfRepaired(folder)) return `a repair was interrupted before ${repairedOf(folder)} took its place`;
  for (let check = 1; ; check++) {
    const damage = checkLmdb(folder, depth, pagesMax);
    if (damage === null || check === CHECKS) return damage;
    await new Promise((resolve) => setTimeout(resolve, CHECK_AGAIN_MS));
  }
}

function tryTo(work: () => void): void {
  try {
    work();
  } catch {
    // It helps to find damage sooner; nothing depends on it.
  }
}
