import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';

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

for (const { files, flags } of [
  { files: unit, flags: ['--test-isolation=none'] },
  { files: whole, flags: ['--test-concurrency=1'] },
]) {
  if (files.length === 0) continue;
  const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...flags, ...files], { cwd: root, stdio: 'inherit' });
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
