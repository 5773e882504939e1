import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Guarded, startGuarded } from '../accounts/visitor.ts';
import { databaseOf } from '../database.ts';
import { MAIN, WITHOUT_WORLD } from '../server.ts';

/*
 * The exit code of a command is 0 exactly if it did what was asked.
 */

describe('a command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-commands-'));
  const data = join(folder, 'data');
  let guarded: Guarded;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
    await guarded.tenant('acme');
    env = { ...process.env, ...(await databaseOf(folder, ['--data', 'data'])), MILLRACE_CWD: folder };
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function millrace(args: readonly string[], stdout: 'pipe' | number = 'pipe'): SpawnSyncReturns<string> {
    return spawnSync(process.execPath, [MAIN, ...args], { env, encoding: 'utf8', stdio: ['ignore', stdout, 'pipe'] });
  }
  function refused(args: readonly string[], ...expected: readonly string[]): void {
    const { status, stdout, stderr } = millrace(args);
    assert.ok(status === 1 || status === 2, `${args.join(' ')}: ${status} ${stdout} ${stderr}`);
    for (const text of expected) assert.ok(stderr.includes(text), `${args.join(' ')}: ${stderr}`);
  }

  test('for the audit log refuses an unknown tenant, and names the known ones', () => {
    refused(['audit', 'verify', '--data', 'data', '--tenant', 'acne'], 'no tenant "acne"', 'Use one of: main, acme.');
  });

  test('verifies an exported file as the audit log of its tenant', () => {
    const { stdout: exported } = millrace(['audit', 'export', '--data', 'data', '--tenant', 'acme']);
    const file = join(folder, 'acme.jsonl');
    writeFileSync(file, exported);
    assert.match(millrace(['audit', 'verify', '--file', file]).stdout, /^acme: \d+ entries verified/);
    refused(['audit', 'verify', '--file', file, '--tenant', 'main'], 'tenant "acme", not of "main"');
    writeFileSync(file, exported.replace(/"tenant":"acme"(?!.*\n.)/, '"tenant":"main"'));
    const { status, stdout } = millrace(['audit', 'verify', '--file', file]);
    assert.deepEqual([status, /entry \d+ was changed/.test(stdout)], [1, true], stdout);
    for (const [text, message] of [
      ['', 'has no entries'],
      ['null\n', 'line 1 of'],
    ] as const) {
      writeFileSync(file, text);
      refused(['audit', 'verify', '--file', file], message, 'audit export');
    }
    refused(['audit', 'verify', '--file', folder], 'is not a file');
  });

  test('refuses a data folder without an installation, and writes nothing into it', () => {
    for (const args of [
      ['secrets', 'rotate'],
      ['doctor', '--repair'],
      ['doctor', '--candles'],
      ['audit', 'verify'],
    ]) {
      const wrong = join(folder, 'dta');
      // A database server is the same one, whatever the data folder.
      if (args[0] !== 'audit' || env.MILLRACE_DATABASE__URL === undefined) refused([...args, '--data', wrong], wrong, '--data');
      assert.equal(existsSync(wrong), false, args.join(' '));
    }
    assert.match(millrace(['secrets', 'list', '--data', 'data']).stdout, /^identity /m);
  });

  test('whose database server does not respond names the reason, without the query, its values and the password', () => {
    const unreachable = { ...env, MILLRACE_DATABASE__URL: 'postgres://mill:s3cret@127.0.0.1:1/mill' };
    for (const args of [
      ['audit', 'verify'],
      ['users', 'reset', 'kim@example.com'],
    ]) {
      const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args, '--data', data], { env: unreachable, encoding: 'utf8' });
      assert.equal(status, 1, stderr);
      assert.match(stderr, /the database cannot be used: connect ECONNREFUSED 127\.0\.0\.1:1\n {2}Check database\.url/);
      assert.doesNotMatch(stderr, /s3cret|select|kim@/);
    }
  });

  test('doctor does not report the port of the running server as a failure, but one that another process has', async () => {
    const { port } = new URL(guarded.server.url);
    const own = millrace(['doctor', '--data', 'data', '--port', port]);
    assert.match(own.stdout, new RegExp(`^ok {4}port {19}\\S+:${port} is in use; a server runs with this data folder$`, 'm'));
    const other = millrace(['doctor', '--data', 'other', '--port', port]);
    assert.deepEqual([other.status, /^FAIL {2}port .*EADDRINUSE/m.test(other.stdout)], [1, true], other.stdout);
  });

  test('doctor names a move to Kafka that is not finished', () => {
    const state = { topic: 'p.market', topicId: 'id', shards: 8, starts: [0, 0, 0, 0] };
    mkdirSync(join(folder, 'moving'));
    const path = join(folder, 'moving', 'moving-to-kafka.json');
    writeFileSync(path, JSON.stringify(state));
    const found = () => millrace(['doctor', '--data', 'moving', '--port', '0']).stdout;
    assert.match(found(), /ok +move of market +the log was copied to the topic p\.market/);
    writeFileSync(path, JSON.stringify({ ...state, plan: { groups: [], deadEvents: [] } }));
    assert.match(found(), /FAIL +move of market +not finished, and no server can start: run "millrace migrate --to kafka"/);
  });

  test('doctor refuses options of --candles without it, and creates no data folder', () => {
    refused(['doctor', '--data', 'data', '--from', 'sim:BTC-USDT'], '--from', 'Add --candles.');
    refused(['doctor', '--data', 'data', '--seconds', '5'], '--seconds', 'Add --candles.');
    const { stdout } = millrace(['doctor', '--data', 'new/data', '--port', '0']);
    assert.match(stdout, /^ok {4}data folder {12}\S+data, does not exist yet; a start creates it, \d+ MiB free$/m);
    assert.match(stdout, /^ok {4}file access {12}no files yet$/m);
    assert.equal(existsSync(join(folder, 'new')), false);
  });

  test('refuses a port that is not written in digits', () => {
    for (const port of ['', '0x1f90', '65536']) refused(['config', 'check', '--port', port], `argument '${port}'`);
    assert.equal(millrace(['config', 'check', '--port', '8000', '--data', data]).status, 0);
  });

  test('fails when its output cannot be written', { skip: !existsSync('/dev/full') && 'needs /dev/full' }, () => {
    const full = openSync('/dev/full', 'w');
    for (const args of [
      ['audit', 'export', '--data', 'data'],
      ['config', 'print'],
      ['config', '--help'],
    ]) {
      const { status, stderr } = millrace(args, full);
      assert.deepEqual([status, stderr.includes('standard output cannot be written: ENOSPC')], [1, true], stderr);
    }
  });

  test('ends with the exit code of SIGPIPE and without a message when the reader of its output has ended', async () => {
    const child = spawn(process.execPath, [MAIN, 'audit', 'export', '--data', 'data'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    const errors = child.stderr.setEncoding('utf8').toArray();
    const [code] = await once(child, 'exit');
    assert.deepEqual([code, (await errors).join('')], [141, '']);
  });
});
