import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { TIME_FACTOR } from '@millrace/testing';
import { startServer } from '../server.ts';

const CLIENT = join(import.meta.dirname, '..', '..', 'clients', 'python', 'millrace_world.py');
const hasPython = spawnSync('python3', ['--version']).status === 0;

test('a Python client, written from the documentation alone, joins, moves and is corrected', {
  skip: !hasPython && 'there is no python3',
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-python-'));
  writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [], worlds: { columns: 1, rows: 1, hosts: 0 } }));
  const server = await startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder });
  try {
    const { stdout } = await promisify(execFile)('python3', [CLIENT, server.url, 'Guido'], { timeout: 30_000 * TIME_FACTOR });
    const lines = stdout.trim().split('\n');
    assert.equal(lines[0], 'joined ok');
    assert.match(lines[1] ?? '', /^zone 0-0 tiles 512 in sight [1-9]/);
    const steps = lines.filter((line) => line.startsWith('step'));
    assert.equal(steps.length, 4);
    assert.ok(steps.some((line) => line.startsWith('step ok')));
    assert.ok(lines.includes('leap refused TELEPORT put right True'), stdout);
    assert.ok(lines.includes('said ok 안녕'), stdout);
    assert.equal(lines.at(-1), 'left ok');
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
