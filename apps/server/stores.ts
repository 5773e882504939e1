import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import { CONTRACTS, type ModuleContract, type TopicContract } from '@millrace/contracts';
import { type CheckDepth, checkLmdb } from '@millrace/lmdb';
import type { Logger } from '@millrace/telemetry';
import { STORE_FOLDERS } from '@millrace/topics';

/** This file exists during a start and for one minute after it. If the next start finds it, the last one failed. */
const MARKER = 'starting';
const MARKER_MS = 60_000;
/** Pages that a start checks after a failed one: 256 MiB of a store. */
const PAGES_AT_START_MAX = 65_536;
/** Number of checks before a store counts as damaged: a process of a killed server may still be writing. */
const CHECKS = 3;
const CHECK_AGAIN_MS = 200;

/** A store in LMDB files. */
export interface LmdbStore {
  readonly name: string;
  readonly folder: string;
  /** Hot snapshots and indexes can be deleted without loss: the log and the cold snapshots have the same data. */
  readonly kind: 'log' | 'hot snapshots' | 'index';
}

/** Folders of the topics of some modules, below the data folder. */
export function topicFolders(contracts: readonly ModuleContract[]): string[] {
  return [...new Set(contracts.flatMap(({ topics = {} }) => Object.values<TopicContract>(topics).map(({ folder }) => folder)))];
}

/** Every LMDB store that a data folder may have. */
export function lmdbStores(data: string, contracts: readonly ModuleContract[] = CONTRACTS): LmdbStore[] {
  return topicFolders(contracts).flatMap((part) => {
    const store = (kind: LmdbStore['kind'], ...path: string[]) => ({ name: join(part, ...path), folder: join(data, part, ...path), kind });
    const index = store('index', STORE_FOLDERS.index);
    // Only a log in Kafka has one.
    return [store('log', STORE_FOLDERS.log), store('hot snapshots', STORE_FOLDERS.hot), ...(existsSync(index.folder) ? [index] : [])];
  });
}

interface Starting {
  /** Call it after a successful start. Returns a function to call after an orderly stop. */
  ready(): () => void;
}

/**
 * Checks every LMDB store before it is opened: on a damaged page LMDB kills the process with a signal, without a message. Damaged hot snapshots
 * are renamed and created again from the log and the cold snapshots. A damaged index is removed.
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
        `"npm run millrace -- doctor --repair --data ${data}" creates a new log from the readable records, and keeps the damaged one.`,
      );
    if (store.kind === 'index') {
      rmSync(store.folder, { recursive: true, force: true });
      logger.error({ store: store.name, damage }, 'a damaged index of zones was removed; it is built again from what is read');
      continue;
    }
    const kept = setAside(store.folder);
    logger.error(
      { store: store.name, damage, kept },
      'damaged hot snapshots were set aside; zones recover from the log and the cold snapshots',
    );
  }
  // The marker is optional: a start must succeed on a full disk.
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

/** Renames a damaged store, so that a new one can replace it. Deletes earlier renamed stores unless `keepOlder`. @returns its new path */
export function setAside(folder: string, keepOlder = false): string {
  const prefix = `${basename(folder)}.damaged-`;
  const older = readdirSync(dirname(folder)).filter((name) => name.startsWith(prefix));
  if (!keepOlder) for (const name of older) rmSync(join(dirname(folder), name), { recursive: true, force: true });
  const kept = join(dirname(folder), `${prefix}${new Date().toISOString().replaceAll(/[:.]/g, '-')}`);
  renameSync(folder, kept);
  return kept;
}

/** Folder in which a repair creates the new store. */
export const repairedOf = (folder: string) => `${folder}.repaired`;

/** True if a repair renamed the damaged store and was interrupted before it renamed the new one, which is complete. */
export const isHalfRepaired = (folder: string) => !existsSync(folder) && existsSync(repairedOf(folder));

/** Describes the damage of a store, if repeated checks find it; null for an intact store. */
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
    // The marker only makes the next start check more.
  }
}
