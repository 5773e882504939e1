// The one door to every npm script. It runs on whatever Node (>= 18) the machine has, and brings everything else:
// the pinned Node 24 runtime, the pinned npm, the locked dependencies and a fresh build of the console. Each step is
// skipped when its stamp says that it is done, so once installed nothing here touches the network.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_VERSION = '24.21.0';
const NPM_VERSION = '11.19.1';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === 'win32';
const runtimePackage = `node-${windows ? 'win' : process.platform}-${process.arch}`;
const runtimeFolder = join(root, '.runtime', `node-${NODE_VERSION}`);
const node = join(runtimeFolder, 'node_modules', runtimePackage, 'bin', windows ? 'node.exe' : 'node');
const npmCli = join(runtimeFolder, 'node_modules', 'npm', 'bin', 'npm-cli.js');

const main = join(root, 'apps', 'server', 'main.ts');
// Room for young objects that V8 would take threefold: some 150 MB of a server that idles. With 8 a tenth of the frames
// that get into the store in a second was gone (`npm run bench -- pipeline`).
const LEAN = ['--max-semi-space-size=16'];
const tasks = {
  up: (rest) => [[...LEAN, main, 'up', ...rest]],
  millrace: (rest) => [[main, ...rest]],
  bench: (rest) => [[main, 'bench', ...rest]],
  check: () => [['scripts/check.ts']],
  test: (rest) => [['scripts/test.ts', ...rest]],
  docs: () => [['contracts/documents/write.ts']],
  simulate: (rest) => [['tests/simulation/main.ts', ...rest]],
  mutate: (rest) => [['scripts/mutate.ts', ...rest]],
  fuzz: (rest) => [['tests/fuzz/main.ts', ...rest]],
  pictures: () => [['scripts/screenshots.ts']],
  fix: () => [['node_modules/@biomejs/biome/bin/biome', 'check', '--write', '.']],
};

function fail(message, remedy) {
  console.error(`millrace: ${message}\n  ${remedy}`);
  process.exit(1);
}

function bringRuntime() {
  if (existsSync(node) && existsSync(npmCli)) return;
  console.error(`millrace: fetching Node ${NODE_VERSION} into .runtime/ (once)`);
  mkdirSync(runtimeFolder, { recursive: true });
  writeFileSync(join(runtimeFolder, 'package.json'), '{"private":true}\n');
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : [windows ? 'npm.cmd' : 'npm'];
  const wanted = [`${runtimePackage}@${NODE_VERSION}`, `npm@${NPM_VERSION}`];
  const flags = ['--prefix', runtimeFolder, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--workspaces=false'];
  const done = spawnSync(npm[0], [...npm.slice(1), 'install', ...flags, ...wanted], {
    cwd: runtimeFolder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: windows && !process.env.npm_execpath,
  });
  if (done.status !== 0 || !existsSync(node))
    fail(
      `could not fetch ${wanted.join(' and ')} with npm`,
      'Check that npm reaches its registry ("npm ping"); Node 24 is published there for Linux, macOS and Windows on x64 and arm64.',
    );
}

function installDependencies() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const wanted = createHash('sha256').update(lock).update(NODE_VERSION).digest('hex');
  const stamp = join(root, 'node_modules', '.millrace-installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('millrace: installing dependencies (once for each lock file)');
  // Not "npm ci": it refuses a lock file that lacks another platform's optional package, as registries that mirror only some
  // platforms leave it. "install --no-save" keeps to the locked versions as well, and writes nothing.
  const done = spawnSync(node, [npmCli, 'install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    env: onOurNode(),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (done.status !== 0)
    fail(
      'the dependencies could not be installed; the message of npm is above',
      'Check that npm reaches its registry, then run the command again.',
    );
  writeFileSync(stamp, wanted);
}

/** The console is built by Vite when a source of it is newer than what was built last. */
function buildConsole() {
  const web = join(root, 'apps', 'web');
  const stamp = join(web, 'dist', '.millrace-built');
  const wanted = fingerprint([
    join(web, 'src'),
    join(web, 'index.html'),
    join(web, 'vite.config.ts'),
    join(root, 'contracts'),
    join(root, 'clients'),
    join(root, 'package-lock.json'),
  ]);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('millrace: building the console');
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const done = spawnSync(node, [vite, 'build', '--logLevel', 'warn'], { cwd: web, env: onOurNode(), stdio: ['ignore', 2, 'inherit'] });
  if (done.status !== 0)
    fail('the console did not build; the reason is above', 'Mend the reported file under apps/web, then run the command again.');
  writeFileSync(stamp, wanted);
}

function fingerprint(paths) {
  const hash = createHash('sha256');
  const visit = (path) => {
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else hash.update(path.slice(root.length)).update(readFileSync(path));
  };
  for (const path of paths) if (existsSync(path)) visit(path);
  return hash.digest('hex');
}

/** Children must find our Node first, whatever the machine's own is called. */
function onOurNode() {
  return {
    ...process.env,
    PATH: `${dirname(node)}${windows ? ';' : ':'}${process.env.PATH ?? ''}`,
    npm_config_scripts_prepend_node_path: 'true',
    // What was compiled once is not compiled again by the next start: a quarter of the time it takes.
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(root, '.runtime', 'compile-cache'),
    // glibc gives each thread a heap of its own and keeps what was freed: a hundred megabytes of a server that idles.
    MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? '1',
    MALLOC_TRIM_THRESHOLD_: process.env.MALLOC_TRIM_THRESHOLD_ ?? '131072',
    MALLOC_MMAP_THRESHOLD_: process.env.MALLOC_MMAP_THRESHOLD_ ?? '131072',
  };
}

function run(argumentLists) {
  const [first, ...others] = argumentLists;
  if (!first) return;
  const child = spawn(node, first, {
    cwd: root,
    env: { ...onOurNode(), MILLRACE_CWD: process.env.INIT_CWD ?? process.cwd() },
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (code === 0) run(others);
    else process.exit(code ?? (signal === 'SIGINT' ? 130 : 143));
  });
}

const [task, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task ?? '')) fail(`unknown task "${task ?? ''}"`, `Use one of: ${Object.keys(tasks).join(', ')}.`);
bringRuntime();
installDependencies();
// Checking and formatting must work on sources that do not build.
if (!['check', 'fix', 'docs', 'mutate'].includes(task)) buildConsole();
run(tasks[task](rest));
