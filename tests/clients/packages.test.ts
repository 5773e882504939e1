import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { type Guarded, PASSWORD, startGuarded } from '../accounts/visitor.ts';
import { WITHOUT_WORLD } from '../server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const CLIENTS = ['typescript', 'react'] as const;
/** Other packages that the examples use, in the installed versions. */
const BESIDE = ['react', 'react-dom', '@types/react', '@types/node'];
const TYPES_OF_REACT_DOM = '@types/react-dom@19.3.0';
const BIN = join(ROOT, 'node_modules', '.bin');

describe('fault 36: packages of the clients', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-packages-'));
  const workspace = join(folder, 'workspace');
  const project = join(folder, 'project');
  const tarballs = join(folder, 'tarballs');
  let guarded: Guarded;

  async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
    const env = {
      ...process.env,
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      NODE_OPTIONS: '',
      npm_config_loglevel: 'error',
    };
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [[code], said, complaints] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
    assert.equal(code, 0, `${program} ${args.join(' ')}\n${said}${complaints}`);
    return said;
  }

  /** A copy, because packing changes the folder temporarily and other tests use it. */
  function copyWorkspace(): void {
    mkdirSync(join(workspace, 'node_modules', '@millrace'), { recursive: true });
    for (const name of ['clients', 'contracts', 'scripts', 'package.json', 'package-lock.json', 'tsconfig.json', 'LICENSE'])
      cpSync(join(ROOT, name), join(workspace, name), { recursive: true, filter: (path) => basename(path) !== 'node_modules' });
    for (const name of readdirSync(join(ROOT, 'node_modules')))
      if (name !== '@millrace' && !name.startsWith('.'))
        symlinkSync(join(ROOT, 'node_modules', name), join(workspace, 'node_modules', name));
    for (const [name, target] of [
      ['client', 'clients/typescript'],
      ['react', 'clients/react'],
      ['contracts', 'contracts'],
    ] as const)
      symlinkSync(join(workspace, target), join(workspace, 'node_modules', '@millrace', name));
    // What this one does first is to install what the workspace needs: into the folders that the copy only points to.
    const start =
      "import { spawnSync } from 'node:child_process';\nprocess.exit(spawnSync(process.execPath, ['../../scripts/pack-client.ts', ...process.argv.slice(3)], { stdio: 'inherit' }).status);\n";
    writeFileSync(join(workspace, 'scripts', 'run.mjs'), start);
  }

  before(async () => {
    copyWorkspace();
    mkdirSync(tarballs);
    mkdirSync(project);
    for (const client of CLIENTS) await run(join(workspace, 'clients', client), 'npm', 'pack', '--pack-destination', tarballs);
    writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
    const versions = BESIDE.map(
      (name) => `${name}@${JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version}`,
    );
    const packed = readdirSync(tarballs).map((file) => join(tarballs, file));
    await run(
      project,
      'npm',
      'install',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--ignore-scripts',
      ...packed,
      ...versions,
      TYPES_OF_REACT_DOM,
    );
    for (const path of globSync('clients/*/examples/**/*.{ts,tsx}', { cwd: ROOT })) cpSync(join(ROOT, path), join(project, basename(path)));
    guarded = await startGuarded(folder, WITHOUT_WORLD);
  });
  after(async () => {
    await guarded?.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('packing does not change the folder', () => {
    for (const client of CLIENTS) {
      const [here, there] = [ROOT, workspace].map((root) => join(root, 'clients', client));
      assert.deepEqual(
        readdirSync(there as string).sort(),
        readdirSync(here as string)
          .filter((name) => name !== 'node_modules')
          .sort(),
      );
      assert.equal(readFileSync(join(there as string, 'package.json'), 'utf8'), readFileSync(join(here as string, 'package.json'), 'utf8'));
    }
  });

  test('publint and attw pass; the packages contain no TypeScript sources and no workspace references', async () => {
    for (const file of readdirSync(tarballs)) {
      await run(project, join(BIN, 'publint'), join(tarballs, file), '--strict');
      await run(project, join(BIN, 'attw'), join(tarballs, file), '--profile', 'esm-only');
    }
    const installed = globSync('node_modules/@millrace/**/*', { cwd: project });
    assert.ok(installed.some((path) => path.endsWith('client/dist/client/index.d.ts')));
    assert.deepEqual(
      installed.filter((path) => /(?<!\.d)\.tsx?$|\.test\./.test(path)),
      [],
    );
    for (const path of installed.filter((each) => /\.(js|ts|json)$/.test(each))) {
      const content = readFileSync(join(project, path), 'utf8');
      assert.ok(!/from ['"]@millrace\/contracts['"]|workspace:/.test(content), path);
    }
  });

  test('the examples compile and run in an empty project', async () => {
    const compilerOptions = {
      target: 'es2024',
      module: 'nodenext',
      strict: true,
      outDir: 'built',
      jsx: 'react-jsx',
      lib: ['es2024', 'dom', 'dom.iterable'],
      types: ['node'],
    };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts', '*.tsx'] }));
    writeFileSync(
      join(project, 'wrong.ts'),
      `import { createClient } from '@millrace/client';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type { Candle } from '@millrace/client/contracts';
// @ts-expect-error There is no channel of that kind.
createClient({ url: 'http://127.0.0.1:1' }).watch(['nothing:there'], () => {});
export const parts: readonly unknown[] = [tcp, WorldClient, {} as Candle];
`,
    );
    await run(project, process.execPath, join(ROOT, 'node_modules', 'ts7', 'bin', 'tsc'), '-p', '.');
    const { key } = await guarded.owner.key('package', ['market:read']);
    const said = await run(project, process.execPath, 'built/candles.js', guarded.server.url, key, 'simulator:BTC-USDT');
    assert.match(said, /^\d candles, live\n(close [\d.]+\n)+$/);
    const own = await run(project, process.execPath, 'built/own-stream.js', guarded.server.url, 'owner@example.com', PASSWORD);
    assert.match(own, /snapshots\.generated/);
  });
});
