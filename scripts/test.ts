import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { postgresPrograms } from '../platform/database/testing/engines.ts';

/*
 * Every test. Unit tests share one process, which is ten times as fast as one each; tests that start servers, browsers
 * or threads have a process of their own. Arguments choose files by a part of their path: npm test -- kernel log
 */

const root = join(import.meta.dirname, '..');
const wanted = process.argv.slice(2);
const chosen = (pattern: string) =>
  globSync(pattern, { cwd: root, exclude: (path) => path.includes('node_modules') }).filter(
    (path) => wanted.length === 0 || wanted.some((part) => path.includes(part)),
  );

const unit = chosen('{contracts,kernel,platform,modules,clients,apps/server}/**/*.test.ts');
const whole = chosen('tests/**/*.test.ts');
let failed = unit.length + whole.length === 0;
if (failed) console.error(`no test matches ${wanted.join(' ')}`);

installPostgres();
for (const { files, flags } of [
  { files: unit, flags: ['--test-isolation=none'] },
  { files: whole, flags: ['--test-concurrency=1'] },
]) {
  if (files.length === 0) continue;
  const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...flags, ...files], { cwd: root, stdio: 'inherit' });
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;

/** What keeps tables is tested on a real PostgreSQL too. Debian has one; elsewhere an installed one would have to be found first. */
function installPostgres(): void {
  if (postgresPrograms()) return;
  const isDebian = spawnSync('apt-get', ['--version']).status === 0 && userInfo().uid === 0;
  if (isDebian) {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    spawnSync('apt-get', ['update', '-qq'], { env: environment, stdio: 'ignore' });
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'postgresql'], { env: environment, stdio: 'ignore' });
  }
  if (!postgresPrograms())
    console.error('There is no PostgreSQL under /usr/lib/postgresql, and none could be installed: its tests are left out.');
}
