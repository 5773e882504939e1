import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const VERSION = '4.3.1';
const FOLDER = join(import.meta.dirname, '../../../.runtime', `kafka-${VERSION}`);
/** Maven downloads some 90 files. */
const INSTALL_MS_MAX = 300_000;

const execute = promisify(execFile);

/** Java class path of the brokers. */
export const KAFKA_CLASS_PATH = join(FOLDER, '*');

/**
 * Reason why no Kafka broker can run here; null if one can. Downloads the brokers with Maven once; later calls find them.
 * With TEST_KAFKA_REQUIRED=1 it throws the reason instead.
 */
export async function kafkaMissing(): Promise<string | null> {
  const reason = await reasonOf();
  if (reason !== null && process.env.TEST_KAFKA_REQUIRED === '1') throw new Error(reason);
  return reason;
}

async function reasonOf(): Promise<string | null> {
  if (!(await runs('java', '-version'))) return 'there is no Java on this machine; on Debian: apt-get install openjdk-17-jre-headless';
  if (existsSync(FOLDER)) return null;
  if (!(await runs('mvn', '--version'))) return 'there is no Maven on this machine; on Debian: apt-get install maven';
  try {
    await install();
    return null;
  } catch (error) {
    return `Maven could not download Kafka: ${(error instanceof Error ? error.message : String(error)).slice(0, 500)}`;
  }
}

async function runs(program: string, argument: string): Promise<boolean> {
  return execute(program, [argument]).then(
    () => true,
    () => false,
  );
}

async function install(): Promise<void> {
  const unfinished = `${FOLDER}.installing-${process.pid}`;
  try {
    mkdirSync(unfinished, { recursive: true });
    const pom = join(import.meta.dirname, 'pom.xml');
    const goal = ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${unfinished}`, '-DincludeScope=runtime'];
    await execute('mvn', goal, { timeout: INSTALL_MS_MAX });
    if (readdirSync(unfinished).length === 0) throw new Error('it has copied no files');
    // Another test may have installed it meanwhile.
    if (!existsSync(FOLDER)) renameSync(unfinished, FOLDER);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}
