// Runs every npm script. It needs only Node 18 or newer, and installs the rest: the pinned Node 24 runtime, the locked dependencies and a build of the
// console. Running installs the production dependencies; tests and builds install all of them and the pinned npm. A stamp file records each completed
// step, so after the installation nothing here uses the network.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { lockFile } from './lock-file.mjs';

const NODE_VERSION = '24.21.0';
const NPM_VERSION = '11.19.1';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** Time until a process of a stopped installation is killed, ms. */
const STOP_MS_MAX = 5_000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === 'win32';
const runtimePackage = `node-${windows ? 'win' : process.platform}-${process.arch}`;
const runtimeFolder = join(root, '.runtime', `node-${NODE_VERSION}`);
const node = join(runtimeFolder, 'node_modules', runtimePackage, 'bin', windows ? 'node.exe' : 'node');
const npmCli = join(runtimeFolder, 'node_modules', 'npm', 'bin', 'npm-cli.js');

const installedStamp = join(root, 'node_modules', '.millrace-installed');
// Exists during an installation. npm takes a package whose files are incomplete, as after a kill, for an installed one.
const installingMark = join(root, 'node_modules', '.millrace-installing');
// npm prefers it to package-lock.json. It exists during an installation only.
const addressedLock = join(root, 'npm-shrinkwrap.json');
// Exists while a process installs or builds. Two of them at once would damage what they write.
const preparingLock = join(root, '.runtime', 'preparing');
const bundledStamp = join(root, '.runtime', 'packages', 'built');
const bundleProcess = join(root, 'platform', 'processes', 'bundle-process.ts');
const web = join(root, 'apps', 'web');
const builtStamp = join(web, 'dist', '.millrace-built');
const main = join(root, 'apps', 'server', 'main.ts');
// Limits the space for young objects. V8 would use three times as much: some 150 MB more in an idle server. A value of 8 reduced the throughput of
// frames by a tenth (`npm run bench -- pipeline`).
const MEMORY_OPTIONS = ['--max-semi-space-size=16'];
// Halves the time that imports take. The server imports it itself.
const QUICK_IMPORTS = ['--import', pathToFileURL(join(root, 'platform', 'processes', 'quick-imports.ts')).href];
const tasks = {
  up: (rest) => [[...MEMORY_OPTIONS, main, 'up', ...rest]],
  millrace: (rest) => [[main, ...rest]],
  bench: (rest) => [[main, 'bench', ...rest]],
  check: () => [['scripts/check.ts']],
  test: (rest) => [['scripts/test.ts', ...rest]],
  docs: () => [['contracts/documents/write.ts']],
  simulate: (rest) => [[...QUICK_IMPORTS, 'tests/simulation/main.ts', ...rest]],
  chaos: (rest) => [[...QUICK_IMPORTS, 'tests/chaos/main.ts', ...rest]],
  law: (rest) => [[...QUICK_IMPORTS, 'tests/market-law/main.ts', ...rest]],
  mutate: (rest) => [['scripts/mutate.ts', ...rest]],
  fuzz: (rest) => [[...QUICK_IMPORTS, 'tests/fuzz/main.ts', ...rest]],
  // Only builds the console. Most other tasks build it too when its sources have changed.
  console: () => [],
  'pack-client': (rest) => [['scripts/pack-client.ts', ...rest]],
  pictures: () => [['scripts/screenshots.ts']],
  fix: () => [['node_modules/@biomejs/biome/bin/biome', 'check', '--write', '.']],
};

function fail(message, remedy) {
  console.error(`millrace: ${message}\n  ${remedy}`);
  process.exit(1);
}

/** Installs the pinned Node runtime. @param withNpm whether to install the pinned npm too, which installs the development dependencies */
async function installRuntime(withNpm) {
  const missing = [
    ...(existsSync(node) ? [] : [`${runtimePackage}@${NODE_VERSION}`]),
    ...(!withNpm || existsSync(npmCli) ? [] : [`npm@${NPM_VERSION}`]),
  ];
  if (missing.length === 0) return;
  // Complete packages are moved to their place: those of an interrupted installation would look like installed ones.
  const unfinished = `${runtimeFolder}.installing-${process.pid}`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  writeFileSync(join(unfinished, 'package.json'), '{"private":true}\n');
  const flags = ['--prefix', unfinished, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--workspaces=false'];
  const code = await npmOfMachine(['install', ...flags, ...missing], unfinished);
  mkdirSync(join(runtimeFolder, 'node_modules'), { recursive: true });
  for (const name of code === 0 ? missing.map((one) => one.slice(0, one.lastIndexOf('@'))) : []) {
    rmSync(join(runtimeFolder, 'node_modules', name), { recursive: true, force: true });
    renameSync(join(unfinished, 'node_modules', name), join(runtimeFolder, 'node_modules', name));
  }
  rmSync(unfinished, { recursive: true, force: true });
  if (code !== 0 || !existsSync(node))
    fail(
      `could not install ${missing.join(' and ')} with npm`,
      'Check that npm reaches its registry ("npm ping"); Node 24 is published there for Linux, macOS and Windows on x64 and arm64.',
    );
}

/** Folders of interrupted installations of the runtime. */
function unfinishedRuntimes() {
  const folder = dirname(runtimeFolder);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter((name) => /\.installing-\d+$/.test(name)).map((name) => join(folder, name));
}

/** Removes what interrupted installations have left. */
async function removeUnfinished() {
  rmSync(addressedLock, { force: true });
  const modules = existsSync(installingMark) ? [root, join(root, 'apps', 'server'), web].map((part) => join(part, 'node_modules')) : [];
  const parts = modules.flatMap((folder) => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []));
  // The mark stays: this may be interrupted too. Meanwhile the lock is renewed.
  for (const path of [...unfinishedRuntimes(), ...parts])
    if (path !== installingMark) await rm(path, { recursive: true, force: true, maxRetries: 5 });
}

/** Content of the stamp file of an installation. @param part "all" or "production" */
function installationOf(part) {
  const lock = readFileSync(join(root, 'package-lock.json'));
  return `${part} ${createHash('sha256').update(lock).update(NODE_VERSION).digest('hex')}`;
}

function isInstalled(part) {
  if (!existsSync(installedStamp)) return false;
  const found = readFileSync(installedStamp, 'utf8');
  return found === installationOf('all') || found === installationOf(part);
}

/**
 * Installs the dependencies. "all" uses the pinned npm, so the runtime must be installed first. "production" uses the machine's npm, so it can run in
 * parallel with the installation of the runtime.
 */
async function installDependencies(part) {
  // Not "npm ci": it refuses a lock file without the optional packages of other platforms, which some registry mirrors produce.
  // "install --no-save" uses the locked versions too, and does not write the lock file.
  const flags = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  const options = { cwd: root, env: pinnedNodeEnvironment() };
  const install =
    part === 'all'
      ? (stderr) => ended(spawn(node, [npmCli, ...flags], { ...options, stdio: ['ignore', 'ignore', stderr] }))
      : // Production dependencies need no install scripts: native code is prebuilt.
        (stderr) => npmOfMachine([...flags, '--omit=dev', '--ignore-scripts', '--workspace=apps/server'], root, stderr);
  mkdirSync(dirname(installingMark), { recursive: true });
  writeFileSync(installingMark, '');
  const first = await installWithAddresses(() => install('ignore'));
  // An npm that ends by itself restores what was installed before. One that was killed does not: the next run deletes what it has left.
  const code = first === 0 || first === null ? first : await install('inherit');
  if (code === null) fail('npm was killed during the installation', 'Check the free memory, then run the command again.');
  rmSync(installingMark, { force: true });
  if (code !== 0)
    fail(
      'the dependencies could not be installed; the message of npm is above',
      'Check that npm reaches its registry, then run the command again.',
    );
  writeFileSync(installedStamp, installationOf(part));
}

/**
 * Installs from a copy of the lock file that has the usual address of each package. It saves two thirds of the time: without addresses, npm reads the list
 * of all versions of each package. They are not in the repository, because a registry can have other ones. @param install @returns exit code of npm
 */
async function installWithAddresses(install) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (!path.includes('node_modules/') || entry.link || entry.resolved) continue;
    const name = entry.name ?? path.split('node_modules/').pop();
    // In a lock file npm takes this host as the registry that it is configured to use.
    entry.resolved = `https://registry.npmjs.org/${name}/-/${name.split('/').pop()}-${entry.version}.tgz`;
  }
  try {
    writeFileSync(addressedLock, JSON.stringify(lock));
    return await install();
  } finally {
    rmSync(addressedLock, { force: true });
  }
}

/** Runs the npm of the machine's Node. @returns its exit code */
function npmOfMachine(args, cwd, stderr = 'inherit') {
  const cli = process.env.npm_execpath;
  const [program, ...first] = cli ? [process.execPath, cli] : [windows ? 'npm.cmd' : 'npm'];
  return ended(spawn(program, [...first, ...args], { cwd, stdio: ['ignore', 'ignore', stderr], shell: windows && !cli }));
}

/** Processes that install or build. */
const running = new Set();
let stopSignal = null;
/** Releases the lock; null while another process may install or build. */
let unlock = null;

/** Resolves with the exit code of a process that installs or builds. Never settles when a signal stops this process. */
function ended(child) {
  running.add(child);
  return new Promise((resolve) => {
    const end = (code) => {
      running.delete(child);
      if (stopSignal === null) resolve(code);
      else if (running.size === 0) exitStopped();
    };
    child.once('error', () => end(1));
    child.once('close', end);
  });
}

/** Ends an installation or a build: no process of it may write beside the next one. */
function stop(signal) {
  stopSignal ??= signal;
  for (const child of running) child.kill(signal);
  if (running.size === 0) exitStopped();
  setTimeout(() => {
    for (const child of running) child.kill('SIGKILL');
  }, STOP_MS_MAX);
}

function exitStopped() {
  if (unlock) rmSync(addressedLock, { force: true });
  process.exit(task === 'up' ? 0 : stopSignal === 'SIGINT' ? 130 : 143);
}

function isRuntimeInstalled(part) {
  return existsSync(node) && (part !== 'all' || existsSync(npmCli));
}

/** Whether everything that a task needs is installed, and nothing is left of an interrupted installation. */
function isPrepared(part) {
  const isInterrupted = existsSync(installingMark) || existsSync(addressedLock) || unfinishedRuntimes().length > 0;
  return !isInterrupted && isRuntimeInstalled(part) && isInstalled(part);
}

/** Installs the runtime and the dependencies that a task needs, with a progress line. */
async function prepare(part) {
  await removeUnfinished();
  const hasRuntime = isRuntimeInstalled(part);
  const hasDependencies = isInstalled(part);
  if (hasRuntime && hasDependencies) return;
  const stopProgress = showProgress(part, hasRuntime);
  if (part === 'all') {
    await installRuntime(true);
    if (!hasDependencies) await installDependencies('all');
  } else await Promise.all([installRuntime(false), hasDependencies ? null : installDependencies('production')]);
  stopProgress();
}

/** Prints the progress of the installation: each second on one line in a terminal, else every 5 s. @returns function that stops it */
function showProgress(part, hasRuntime) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  // Optional packages are not counted: most are for other platforms.
  const required = Object.entries(packages).filter(
    ([path, { dev, optional, link }]) => path.startsWith('node_modules/') && !link && !optional && (part === 'all' || !dev),
  );
  const startedAt = Date.now();
  const line = () => {
    const installed = required.filter(([path]) => existsSync(join(root, path, 'package.json'))).length;
    const runtime = hasRuntime || existsSync(node) ? `Node ${NODE_VERSION} installed` : `installing Node ${NODE_VERSION}`;
    return `millrace: installing (first run only): ${runtime}, ${installed} of ${required.length} packages, ${Math.round((Date.now() - startedAt) / 1_000)} s`;
  };
  const inPlace = process.stderr.isTTY;
  const print = () => process.stderr.write(inPlace ? `\r${line()}` : `${line()}\n`);
  print();
  const timer = setInterval(print, inPlace ? 1_000 : 5_000);
  return () => {
    clearInterval(timer);
    process.stderr.write(`${inPlace ? '\r\u001b[K' : ''}millrace: installed in ${Math.round((Date.now() - startedAt) / 1_000)} s\n`);
  };
}

/** Bundles the packages that consist of many small modules, if they are not bundled. Without bundles, everything works and starts take longer. */
async function bundlePackages() {
  if (isBundled()) return;
  const code = await ended(
    spawn(node, [bundleProcess, bundleSources()], { cwd: root, env: pinnedNodeEnvironment(), stdio: ['ignore', 'ignore', 'inherit'] }),
  );
  if (code !== 0) console.error('millrace: packages could not be bundled, so each start takes longer; the reason is above');
}

function bundleSources() {
  return fingerprint([join(root, 'package-lock.json'), bundleProcess, join(dirname(bundleProcess), 'bundled-packages.ts')]);
}

function isBundled() {
  return existsSync(bundledStamp) && readFileSync(bundledStamp, 'utf8') === bundleSources();
}

/** Hash of the console's sources. The console is built when it changes; the build output is part of the repository. */
function consoleSources() {
  return fingerprint([
    join(web, 'src'),
    join(web, 'index.html'),
    join(web, 'vite.config.ts'),
    join(root, 'contracts'),
    join(root, 'clients'),
    join(root, 'package-lock.json'),
  ]);
}

function isConsoleBuilt() {
  return existsSync(builtStamp) && readFileSync(builtStamp, 'utf8') === consoleSources();
}

async function buildConsole() {
  if (isConsoleBuilt()) return;
  console.error('millrace: building the console');
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const code = await ended(
    spawn(node, [vite, 'build', '--logLevel', 'warn'], { cwd: web, env: pinnedNodeEnvironment(), stdio: ['ignore', 2, 'inherit'] }),
  );
  if (code !== 0)
    fail('the build of the console failed; the reason is above', 'Fix the reported file under apps/web, then run the command again.');
  writeFileSync(builtStamp, consoleSources());
}

function fingerprint(paths) {
  const hash = createHash('sha256');
  const visit = (path) => {
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) if (!['node_modules', 'documents', 'examples'].includes(name)) visit(join(path, name));
    } else if (!/\.(test\.ts|md)$/.test(path)) hash.update(path.slice(root.length)).update(readFileSync(path));
  };
  for (const path of paths) if (existsSync(path)) visit(path);
  return hash.digest('hex');
}

/** Environment in which child processes find the pinned Node first. */
function pinnedNodeEnvironment() {
  return {
    ...process.env,
    PATH: `${dirname(node)}${windows ? ';' : ':'}${process.env.PATH ?? ''}`,
    npm_config_scripts_prepend_node_path: 'true',
    // Caches compiled code, which saves a quarter of the start time.
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(root, '.runtime', 'compile-cache'),
    // Without this, glibc uses one heap per thread and keeps freed memory: some 100 MB of an idle server.
    MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? '1',
  };
}

function run(argumentLists) {
  const [first, ...others] = argumentLists;
  if (!first) return;
  const child = spawn(node, first, {
    cwd: root,
    env: { ...pinnedNodeEnvironment(), MILLRACE_CWD: process.env.INIT_CWD ?? process.cwd() },
    stdio: 'inherit',
  });
  for (const signal of SIGNALS) process.off(signal, stop).on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (code === 0) return run(others);
    if (signal === 'SIGBUS' || signal === 'SIGSEGV')
      console.error(
        `millrace: ended by ${signal}, as reading a damaged store does\n  Run "npm run millrace -- doctor": it names the damaged store and what to do.`,
      );
    process.exit(code ?? (signal === 'SIGINT' ? 130 : 143));
  });
}

const [task, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task ?? '')) fail(`unknown task "${task ?? ''}"`, `Use one of: ${Object.keys(tasks).join(', ')}.`);
if (task === 'console' && rest.includes('--check')) {
  if (!isConsoleBuilt()) fail('apps/web/dist was not built from these sources', 'Run "npm run console" and commit apps/web/dist.');
  process.exit(0);
}
for (const signal of SIGNALS) process.on(signal, stop);
// To run, production dependencies suffice if the console in the repository is up to date. Installed development dependencies are not removed.
const hadAll = existsSync(installedStamp) && readFileSync(installedStamp, 'utf8').startsWith('all');
const isBuilt = isConsoleBuilt();
const part = ['up', 'millrace'].includes(task) && isBuilt && !hadAll ? 'production' : 'all';
// Checking and formatting must work even when the sources do not build.
const needsConsole = !['check', 'fix', 'docs', 'mutate', 'pack-client'].includes(task);
if (!isPrepared(part) || !isBundled() || (needsConsole && !isBuilt)) {
  unlock = await lockFile(preparingLock, (holder) =>
    console.error(`millrace: waiting for process ${holder}, which installs or builds in this folder`),
  );
  await prepare(part);
  await bundlePackages();
  if (needsConsole) await buildConsole();
  unlock();
}
if (task === 'up' && !rest.includes('gateway') && !existsSync(join(root, '.runtime', 'empty-databases'))) {
  // Creates the empty databases, the longest step of a first start, in parallel. The server waits for them, or creates them itself.
  const initialize = join(root, 'platform', 'database', 'initialize-process.ts');
  const folders = [join(root, '.runtime'), join(root, 'apps', 'server', 'migrations')];
  spawn(node, ['--liftoff-only', ...QUICK_IMPORTS, initialize, ...folders], { env: pinnedNodeEnvironment(), stdio: 'ignore' })
    .on('error', () => {})
    .unref();
}
run(tasks[task](rest));
