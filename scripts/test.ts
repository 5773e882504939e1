import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { ENGINES, postgresPrograms } from '../platform/database/testing/engines.ts';
import { redisProgram } from '../platform/redis/testing/redis-server.ts';

/*
 * Every test. Unit tests share one process, which is ten times as fast as one each; tests that start servers, browsers
 * or threads have a process of their own. Arguments choose files by a part of their path: npm test -- kernel log
 * With --postgres every server that a test starts keeps its tables in a real PostgreSQL instead of the embedded one.
 */

const root = join(import.meta.dirname, '..');
const onPostgres = process.argv.includes('--postgres');
const wanted = process.argv.slice(2).filter((part) => part !== '--postgres');
const chosen = (pattern: string) =>
  globSync(pattern, { cwd: root, exclude: (path) => path.includes('node_modules') }).filter(
    (path) => wanted.length === 0 || wanted.some((part) => path.includes(part)),
  );

const unit = chosen('{contracts,kernel,platform,modules,clients,apps/server}/**/*.test.ts');
const whole = chosen('tests/**/*.test.ts');
let failed = unit.length + whole.length === 0;
if (failed) console.error(`no test matches ${wanted.join(' ')}`);

installServers();
const postgres = onPostgres ? await ENGINES.find(({ name }) => name === 'PostgreSQL')?.open() : null;
if (postgres && 'url' in postgres.address) process.env.TEST_POSTGRES = postgres.address.url;
for (const { files, flags } of [
  { files: unit, flags: ['--test-isolation=none'] },
  { files: whole, flags: ['--test-concurrency=1'] },
]) {
  if (files.length === 0) continue;
  // Not in one step: the PostgreSQL beside us must be heard meanwhile.
  const running = spawn(process.execPath, ['--test', '--test-reporter=spec', ...flags, ...files], { cwd: root, stdio: 'inherit' });
  const [status] = await once(running, 'exit');
  failed ||= status !== 0;
}
await postgres?.close();
process.exitCode = failed ? 1 : 0;

/** Real servers that tests hold our adapters against. Debian has them; elsewhere installed ones would have to be found first. */
function installServers(): void {
  const missing = () => [...(postgresPrograms() ? [] : ['postgresql']), ...(redisProgram() ? [] : ['redis-server'])];
  if (missing().length === 0) return;
  const isDebian = spawnSync('apt-get', ['--version']).status === 0 && userInfo().uid === 0;
  if (isDebian) {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    spawnSync('apt-get', ['update', '-qq'], { env: environment, stdio: 'ignore' });
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing()], { env: environment, stdio: 'ignore' });
  }
  for (const name of missing())
    console.error(`There is no ${name} on this machine, and it could not be installed: its tests are left out.`);
}
