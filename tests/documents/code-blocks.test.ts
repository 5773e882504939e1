import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { TIME_FACTOR } from '@millrace/testing';
import { type Guarded, startGuarded } from '../accounts/visitor.ts';
import { writeFrames } from '../recovery/made-up-frames.ts';

/*
 * Fault 39: code blocks of the documents work as written. Every block of README, how-tos and clients runs against a server with users, with the address of
 * the server, a real key and shorter times inserted. A block without a rule fails.
 */

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'apps', 'server', 'main.ts');
const DOCUMENTS = [
  'README.md',
  'README.ko.md',
  ...globSync(['docs/*.md', 'docs/how-to/*.md', 'clients/*/README.md', 'modules/*/README.md'], { cwd: ROOT }),
];
/** Time that a stream is read, s: long enough for an event of a live channel. */
const STREAM_S = 4;
/** Timeout of a response, s. */
const RESPONSE_S_MAX = 30;

interface Block {
  readonly document: string;
  readonly where: string;
  readonly language: string;
  readonly code: string;
}

function blocksOf(document: string): Block[] {
  const found = readFileSync(join(ROOT, document), 'utf8').matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm);
  return [...found].map(([, language = '', code = ''], index) => ({ document, where: `${document}, block ${index + 1}`, language, code }));
}

const blocks = DOCUMENTS.flatMap(blocksOf);
const all = (language: string, isMeant: (code: string) => boolean = () => true) =>
  blocks.filter((block) => block.language === language && isMeant(block.code));

const isCloned = (code: string) => code.startsWith('git clone');
/** Simulations have their own tests; here only their options are checked. */
const isSimulation = (code: string) => code.includes('npm run simulate');
const isEnvironment = (code: string) => /^MILLRACE_/.test(code);
const isShell = (code: string) => !isCloned(code) && !isSimulation(code) && !isEnvironment(code);

function variablesIn(code: string): Record<string, string> {
  const lines = code
    .trim()
    .split('\n')
    .map((line) => /^(\w+)=(\S+)/.exec(line) ?? assert.fail(line));
  return Object.fromEntries(lines.map(([, name = '', value = '']) => [name, value === '…' ? Buffer.alloc(32).toString('base64') : value]));
}

describe('fault 39: code blocks of the documents', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-documents-'));
  const bin = join(folder, 'bin');
  let guarded: Guarded;
  let key: string;
  before(async () => {
    guarded = await startGuarded(folder, {
      MILLRACE_WORLDS__COLUMNS: '1',
      MILLRACE_WORLDS__ROWS: '1',
      MILLRACE_WORLDS__PLAYERS_PER_USER: '500',
    });
    await writeFrames(join(folder, 'frames.ws'), { frames: 50, perSecond: 20, pairs: ['BTC-USDT'] });
    const scopes = ['market:read', 'account:read', 'platform:read', 'platform:operate', 'tenant:read', 'world:play'] as const;
    ({ key } = await guarded.owner.key('documents', [...scopes]));
    mkdirSync(bin);
    // `npm` and `curl` as in the documents. Commands that run without end are only checked, and streams are read for a while.
    const program = (name: string, lines: string[]) => {
      writeFileSync(join(bin, name), ['#!/bin/bash', ...lines, ''].join('\n'));
      chmodSync(join(bin, name), 0o755);
    };
    const millrace = `exec "${process.execPath}" "${MAIN}"`;
    program('npm', [
      'if [ "$1" = start ]; then',
      '  shift; [ "$1" = -- ] && shift',
      '  if [ "$1" = --role ]; then export MILLRACE_ROLE=$2; shift 2; fi',
      `  ${millrace} config check "$@"`,
      'fi',
      '[ "$1" = run ] && shift; [ "$1" = -s ] && shift',
      '[ "$1" = millrace ] && [ "$2" = -- ] || { echo "npm does not know: $*" >&2; exit 64; }',
      'shift 2',
      'case "$1" in',
      // Drills are measured by a benchmark; replays have their own test.
      '  drill) shift; echo "$@"; exit 0;;',
      `  replay) ${millrace} "$@" --exit --port 0;;`,
      'esac',
      `${millrace} "$@"`,
    ]);
    const path = (process.env.PATH ?? '')
      .split(':')
      .map((each) => join(each, 'curl'))
      .find(existsSync);
    assert.ok(path, 'curl is installed');
    program('curl', [
      `seconds=${Math.ceil(RESPONSE_S_MAX * TIME_FACTOR)}`,
      `case " $* " in *" -N "*) seconds=${Math.ceil(STREAM_S * TIME_FACTOR)};; esac`,
      `"${path}" --silent --show-error --fail-with-body --max-time $seconds "$@" | tee answer.txt; code=\${PIPESTATUS[0]}`,
      '[ $code = 28 ] && [ -s answer.txt ] && exit 0',
      'exit $code',
    ]);
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The block with values for its placeholders. */
  const filledIn = (code: string) =>
    code
      .replaceAll('http://127.0.0.1:7420', guarded.server.url)
      .replaceAll('mill_…', key)
      .replaceAll(/--players \d+ --seconds \d+/g, '--players 5 --seconds 2')
      .replaceAll(
        /millrace -- swarm(.*)/g,
        `millrace -- swarm$1 --server ${guarded.server.url}${code.includes('--key') ? '' : ` --key ${key}`}`,
      )
      .replaceAll('tenants:acme', 'tenants:main')
      .replaceAll(/BINANCE\S*/g, 'frames.ws')
      .replaceAll('/tmp/replay', 'replayed');

  async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<{ code: number | null; said: string }> {
    const child = spawn(command, args, {
      cwd: folder,
      env: {
        ...process.env,
        MILLRACE_CWD: folder,
        MILLRACE_DATA: 'data',
        PATH: `${bin}:${process.env.PATH}`,
        MILL_KEY: key,
        NODE_OPTIONS: '',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [[code], said, complaints] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
    return { code, said: said + complaints };
  }

  for (const { document, where, code } of all('sh', isShell))
    test(`${where} runs`, async () => {
      // Variables that earlier blocks of the document set.
      const told = blocks
        .filter((block) => block.document === document && isEnvironment(block.code))
        .map((block) => variablesIn(block.code));
      const { code: status, said } = await run('bash', ['-euo', 'pipefail', '-c', filledIn(code)], Object.assign({ KEY: key }, ...told));
      assert.equal(status, 0, `${code}\n${said}`);
      assert.doesNotMatch(said, /"status":4\d\d/);
    });

  for (const { where, code } of all('sh', isEnvironment))
    test(`${where} is a configuration`, async () => {
      const { code: status, said } = await run(process.execPath, [MAIN, 'config', 'check'], variablesIn(code));
      assert.equal(status, 0, said);
    });

  for (const { where, code } of all('js'))
    test(`${where} runs`, async () => {
      const file = join(ROOT, 'tests', 'documents', `.block-${process.pid}.mjs`);
      writeFileSync(file, `${filledIn(code)}\nsetTimeout(() => process.exit(0), ${STREAM_S * 1_000 * TIME_FACTOR});\n`);
      const { code: status, said } = await run(process.execPath, [file]).finally(() => rmSync(file));
      assert.equal(status, 0, said);
      assert.match(said, /price/);
    });

  for (const { where, code } of all('json'))
    test(`${where} is a configuration`, async () => {
      const isWhole = !/^\{ "id"|^\{\n {2}"id"/.test(code);
      const configs = isWhole
        ? [code]
        : code.startsWith('{\n')
          ? [`{"sources":[${code}]}`]
          : code
              .trim()
              .split('\n')
              .map((line) => `{"sources":[${line}]}`);
      for (const config of configs) {
        writeFileSync(join(folder, 'block.json'), filledIn(config).replaceAll('…', 'something-long-enough'));
        const { code: status, said } = await run(process.execPath, [MAIN, 'config', 'check', '--config', 'block.json']);
        assert.equal(status, 0, said);
      }
    });

  // Parts of a file have less indentation, so their lines are broken at other places.
  const onOneLine = (code: string) => code.replaceAll(/\s+/g, ' ').trim();

  test('client examples are the files that other tests run', () => {
    const examples = globSync('clients/*/examples/**/*.{ts,tsx}', { cwd: ROOT }).map((path) => readFileSync(join(ROOT, path), 'utf8'));
    const parts = globSync('tests/modules/{counter,venue}/*.ts', { cwd: ROOT }).map((path) => readFileSync(join(ROOT, path), 'utf8'));
    for (const { where, code, document } of [...all('ts'), ...all('tsx')]) {
      // How-tos about modules and venues show parts of those that tests/modules adds to a server.
      const isRun = /(modules|add-a-venue)\.md$/.test(document)
        ? parts.some((part) => onOneLine(part).includes(onOneLine(code)))
        : examples.includes(code);
      assert.ok(isRun, `${where} is no example that is run`);
    }
  });

  test('documented simulation options exist', () => {
    const options = readFileSync(join(ROOT, 'tests', 'simulation', 'main.ts'), 'utf8');
    for (const { where, code } of all('sh', isSimulation))
      for (const [, option = ''] of code.matchAll(/--(\w+)/g)) assert.ok(options.includes(option), `${where}: --${option}`);
  });

  test('every kind of block is executed', () => {
    const known = new Set(['sh', 'js', 'json', 'ts', 'tsx', '']);
    assert.deepEqual(
      blocks.filter(({ language }) => !known.has(language)),
      [],
    );
    assert.ok(blocks.length > 30, `${blocks.length} blocks`);
    assert.equal(all('sh', isCloned).length, 2);
  });
});
