import { accessSync, constants, existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import { CONTRACTS, type ModuleContract, type TopicContract } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import { type DataUse, withDataUse } from '../data-use.ts';
import { readMoveState } from '../move/move-state.ts';
import { accessibleToOthers } from '../private-files.ts';
import { damageOf, type LmdbStore, lmdbStores } from '../stores.ts';
import { isInKafka, topicLogOf } from '../topic-logs.ts';
import { type ServingFlags, settingsFor } from './settings.ts';
import { CONSOLE_FOLDER } from './up.ts';

const MIB = 1024 * 1024;
const DISK_MIB_MIN = 2_048;
const MEMORY_MIB_MIN = 1_024;
/** Time limit of the comparison of candles, s, unless another is named. */
const CANDLES_S_MAX = 60;

type Finding = [name: string, ok: boolean, found: string];

/** Checks the requirements of a start and prints the results. Sets exit code 1 if a check fails. */
export async function doctor({
  repair,
  candles,
  from,
  seconds,
  ...flags
}: ServingFlags & { repair?: boolean; candles?: boolean; from?: string; seconds?: number }): Promise<void> {
  if (!candles && (from !== undefined || seconds !== undefined))
    throw new UserError(`${from === undefined ? '--seconds' : '--from'} is an option of the comparison of candles`, 'Add --candles.');
  const settings = settingsFor(flags);
  if (repair || candles) requireData(settings.data);
  if (repair) return (await import('../repair-stores.ts')).repairStores(settings);
  if (candles) return (await import('../check-candles.ts')).checkStoredCandles(settings, { from, seconds: seconds ?? CANDLES_S_MAX });
  const folders = [folderFinding(settings.data), privacyFinding(settings.data)];
  const [use, stores] = await withDataUse(
    settings,
    async (found): Promise<[DataUse, Finding[]]> => [
      found,
      await Promise.all(lmdbStores(settings.data).map((store) => storeFinding(store, found))),
    ],
  );
  const findings: Finding[] = [
    ['Node', Number(process.versions.node.split('.')[0]) >= 24, process.version],
    ['processors', availableParallelism() >= 2, String(availableParallelism())],
    ['memory', totalmem() / MIB >= MEMORY_MIB_MIN, `${Math.round(totalmem() / MIB)} MiB`],
    ['configuration', true, `${settings.sources.length} source(s)`],
    ...folders,
    ...stores,
    ...moveFindings(settings.data),
    ...(await logFindings(settings)),
    ['console', existsSync(CONSOLE_FOLDER), existsSync(CONSOLE_FOLDER) ? 'built' : 'not built; "npm start" builds it'],
    await portFinding('port', settings.host, settings.port, use),
    ...(settings.worlds.enabled ? [await portFinding('players’ port', settings.host, settings.worlds.tcpPort, use)] : []),
  ];
  for (const [name, ok, found] of findings) console.log(`${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(22)} ${found}`);
  if (findings.some(([, ok]) => !ok)) process.exitCode = 1;
}

/** @throws UserError when nothing is stored in a folder, for example because it is misspelt */
function requireData(folder: string): void {
  if (existsSync(folder) && statSync(folder).isDirectory() && readdirSync(folder).length > 0) return;
  throw new UserError(`there is no data in ${folder}`, 'Name the data folder of the installation with --data.');
}

function folderFinding(folder: string): Finding {
  try {
    const existing = existingFolder(folder);
    accessSync(existing, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(existing);
    const freeMiB = Math.round((bavail * bsize) / MIB);
    const state = existing === folder ? '' : 'does not exist yet; a start creates it, ';
    return ['data folder', freeMiB >= DISK_MIB_MIN, `${folder}, ${state}${freeMiB} MiB free`];
  } catch (error) {
    return ['data folder', false, `${folder}: ${messageOf(error)}`];
  }
}

/** The folder, or the nearest folder above it that exists: the one that it would be created in. */
function existingFolder(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : existingFolder(dirname(folder));
}

async function storeFinding(store: LmdbStore, use: DataUse): Promise<Finding> {
  if (!existsSync(store.folder)) return [store.name, true, 'none yet'];
  const damage = await damageOf(store, use === 'in use' ? 'meta' : 'thorough');
  if (damage === null) return [store.name, true, use === 'in use' ? 'quick check passed; stop the server for a thorough check' : 'intact'];
  const remedy = store.kind === 'log' ? 'run "doctor --repair" while the server is stopped' : 'a start creates them again';
  return [store.name, false, `${damage}; ${remedy}`];
}

/** Moves of logs to Kafka that were begun. */
function moveFindings(data: string): Finding[] {
  return CONTRACTS.flatMap(({ topics = {} }: ModuleContract) => Object.entries<TopicContract>(topics)).flatMap(
    ([topic, { folder }]): Finding[] => {
      const state = readMoveState(join(data, folder));
      if (!state) return [];
      const found = `the log was copied to the topic ${state.topic} in part or as a whole`;
      const finish = 'run "millrace migrate --to kafka" with log.engine "kafka" to finish it';
      const isPlanned = state.plan !== undefined && !isInKafka(join(data, folder));
      return [[`move of ${topic}`, !isPlanned, isPlanned ? `not finished, and no server can start: ${finish}` : `${found}; ${finish}`]];
    },
  );
}

/** The topics of a log in Kafka. A topic that does not exist yet is created by a start. */
async function logFindings(settings: Settings): Promise<Finding[]> {
  const { engine, brokers } = settings.log;
  if (engine === 'lmdb') return [];
  const { inspectKafkaTopic } = await import('@millrace/kafka');
  return Promise.all(
    CONTRACTS.flatMap(({ topics = {} }: ModuleContract) => Object.keys(topics)).map(async (topic): Promise<Finding> => {
      const name = `topic ${topic}`;
      try {
        const log = topicLogOf(settings, topic);
        if (log.engine !== 'kafka') return [name, true, 'embedded'];
        const found = await inspectKafkaTopic(log.connection, log.topic, log.replicas);
        if (found === null) return [name, true, `${log.topic} does not exist yet; a start creates it`];
        const { problems, replicas } = found;
        const behind = replicas.filter((one) => one.inSync < one.replicas).length;
        const state = `${log.topic}, ${replicas.length} shards, ${behind === 0 ? 'all replicas in sync' : `${behind} of them under-replicated`}`;
        return [name, problems.length === 0 && behind === 0, [state, ...problems].join('; ')];
      } catch (error) {
        return [name, false, `${brokers.join(', ')}: ${messageOf(error)}`];
      }
    }),
  );
}

function privacyFinding(folder: string): Finding {
  if (!existsSync(folder)) return ['file access', true, 'no files yet'];
  try {
    const open = accessibleToOthers(folder);
    return [
      'file access',
      open === 0,
      open === 0 ? 'this user only' : `other users have access to ${open} files and folders; a start repairs it`,
    ];
  } catch (error) {
    return ['file access', false, messageOf(error)];
  }
}

/** A port that another process has is a failure, unless a server uses the data folder: it is the one that has the port. */
function portFinding(name: string, host: string, port: number, use: DataUse): Promise<Finding> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const isOwn = use === 'in use' && error.code === 'EADDRINUSE';
      resolve([
        name,
        isOwn,
        isOwn ? `${host}:${port} is in use; a server runs with this data folder` : `${host}:${port}: ${messageOf(error)}`,
      ]);
    });
    probe.listen({ host, port }, () => probe.close(() => resolve([name, true, `${host}:${port} is free`])));
  });
}
