// Runs every npm script. It works with whatever Node (>= 18) the machine has, and brings everything else: the pinned Node 24 runtime, the locked
// dependencies (those that running needs; all of them and the pinned npm, where something is tested or built) and a fresh build of the console. Each step
// is skipped when its stamp says that it is done, so once installed nothing here touches the network.
import { spawn } from 'node:child_process';
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

const installedStamp = join(root, 'node_modules', '.millrace-installed');
const web = join(root, 'apps', 'web');
const builtStamp = join(web, 'dist', '.millrace-built');
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
  chaos: (rest) => [['tests/chaos/main.ts', ...rest]],
  law: (rest) => [['tests/market-law/main.ts', ...rest]],
  mutate: (rest) => [['scripts/mutate.ts', ...rest]],
  fuzz: (rest) => [['tests/fuzz/main.ts', ...rest]],
  // Builds the console, as every task but checking does that finds it older than its sources.
  console: () => [],
  'pack-client': (rest) => [['scripts/pack-client.ts', ...rest]],
  pictures: () => [['scripts/screenshots.ts']],
  fix: () => [['node_modules/@biomejs/biome/bin/biome', 'check', '--write', '.']],
};

function fail(message, remedy) {
  console.error(`millrace: ${message}\n  ${remedy}`);
  process.exit(1);
}

/** @param withNpm whether our own npm is needed, too: to install what is built and tested with */
async function bringRuntime(withNpm) {
  const wanted = [
    ...(existsSync(node) ? [] : [`${runtimePackage}@${NODE_VERSION}`]),
    ...(!withNpm || existsSync(npmCli) ? [] : [`npm@${NPM_VERSION}`]),
  ];
  if (wanted.length === 0) return;
  mkdirSync(runtimeFolder, { recursive: true });
  writeFileSync(join(runtimeFolder, 'package.json'), '{"private":true}\n');
  const flags = ['--prefix', runtimeFolder, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--workspaces=false'];
  // What is there already is named, too: npm removes what is not.
  const packages = [`${runtimePackage}@${NODE_VERSION}`, ...(withNpm || existsSync(npmCli) ? [`npm@${NPM_VERSION}`] : [])];
  const code = await npmOfMachine(['install', ...flags, ...packages], runtimeFolder);
  if (code !== 0 || !existsSync(node))
    fail(
      `could not fetch ${wanted.join(' and ')} with npm`,
      'Check that npm reaches its registry ("npm ping"); Node 24 is published there for Linux, macOS and Windows on x64 and arm64.',
    );
}

/** What the stamp of an installation says. @param part "all", or "production" for what running needs */
function installationOf(part) {
  const lock = readFileSync(join(root, 'package-lock.json'));
  return `${part} ${createHash('sha256').update(lock).update(NODE_VERSION).digest('hex')}`;
}

function isInstalled(part) {
  if (!existsSync(installedStamp)) return false;
  const found = readFileSync(installedStamp, 'utf8');
  return found === installationOf('all') || found === installationOf(part);
}

/** @param part "all" installs with our npm, so the runtime comes first; "production" with the machine's, so both come at once */
async function installDependencies(part) {
  // Not "npm ci": it refuses a lock file that lacks another platform's optional package, as registries that mirror only some
  // platforms leave it. "install --no-save" keeps to the locked versions as well, and writes nothing.
  const flags = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  const code =
    part === 'all'
      ? await ended(spawn(node, [npmCli, ...flags], { cwd: root, env: onOurNode(), stdio: ['ignore', 'ignore', 'inherit'] }))
      : // No package that running needs has a script it needs: native code comes built.
        await npmOfMachine([...flags, '--omit=dev', '--ignore-scripts', '--workspace=apps/server'], root);
  if (code !== 0)
    fail(
      'the dependencies could not be installed; the message of npm is above',
      'Check that npm reaches its registry, then run the command again.',
    );
  writeFileSync(installedStamp, installationOf(part));
}

/** Runs the npm that came with the machine's Node. @returns its exit code */
function npmOfMachine(args, cwd) {
  const cli = process.env.npm_execpath;
  const [program, ...first] = cli ? [process.execPath, cli] : [windows ? 'npm.cmd' : 'npm'];
  return ended(spawn(program, [...first, ...args], { cwd, stdio: ['ignore', 'ignore', 'inherit'], shell: windows && !cli }));
}

function ended(child) {
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', resolve);
  });
}

/** Brings what a task needs; the first time with a line that says how far it is. */
async function prepare(part) {
  const hasRuntime = existsSync(node) && (part !== 'all' || existsSync(npmCli));
  const hasDependencies = isInstalled(part);
  if (hasRuntime && hasDependencies) return;
  const stopTelling = tellProgress(part, hasRuntime);
  if (part === 'all') {
    await bringRuntime(true);
    if (!hasDependencies) await installDependencies('all');
  } else await Promise.all([bringRuntime(false), hasDependencies ? null : installDependencies('production')]);
  stopTelling();
}

/** Says each second what is there: on one line where a person looks on, else now and then. @returns ends it */
function tellProgress(part, hasRuntime) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  // Optional packages are mostly those of other platforms.
  const wanted = Object.entries(packages).filter(
    ([path, { dev, optional, link }]) => path.startsWith('node_modules/') && !link && !optional && (part === 'all' || !dev),
  );
  const begun = Date.now();
  const line = () => {
    const there = wanted.filter(([path]) => existsSync(join(root, path, 'package.json'))).length;
    const runtime = hasRuntime || existsSync(node) ? `Node ${NODE_VERSION} is there` : `fetching Node ${NODE_VERSION}`;
    return `millrace: preparing (once): ${runtime}, ${there} of ${wanted.length} packages, ${Math.round((Date.now() - begun) / 1_000)} s`;
  };
  const inPlace = process.stderr.isTTY;
  const tell = () => process.stderr.write(inPlace ? `\r${line()}` : `${line()}\n`);
  tell();
  const telling = setInterval(tell, inPlace ? 1_000 : 5_000);
  return () => {
    clearInterval(telling);
    process.stderr.write(`${inPlace ? '\r\u001b[K' : ''}millrace: prepared in ${Math.round((Date.now() - begun) / 1_000)} s\n`);
  };
}

/** What the console is built from; it is built when that has changed, and what was built is part of the repository. */
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
    spawn(node, [vite, 'build', '--logLevel', 'warn'], { cwd: web, env: onOurNode(), stdio: ['ignore', 2, 'inherit'] }),
  );
  if (code !== 0)
    fail('the console did not build; the reason is above', 'Fix the reported file under apps/web, then run the command again.');
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
// Running needs least, as long as the console that came with the sources is that of the sources; but what is installed already is not taken away.
const hadAll = existsSync(installedStamp) && readFileSync(installedStamp, 'utf8').startsWith('all');
const part = ['up', 'millrace'].includes(task) && isConsoleBuilt() && !hadAll ? 'production' : 'all';
await prepare(part);
// Checking and formatting must work on sources that do not build.
if (!['check', 'fix', 'docs', 'mutate', 'pack-client'].includes(task)) await buildConsole();
if (task === 'up' && !rest.includes('gateway') && !existsSync(join(root, '.runtime', 'empty-databases'))) {
  // What takes longest of a first start, beside it: the server waits for it, or makes it itself.
  const initialize = join(root, 'platform', 'database', 'initialize-process.ts');
  const folders = [join(root, '.runtime'), join(root, 'apps', 'server', 'migrations')];
  spawn(node, ['--liftoff-only', initialize, ...folders], { env: onOurNode(), stdio: 'ignore' })
    .on('error', () => {})
    .unref();
}
run(tasks[task](rest));
