import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accessibleToOthers, keepPrivate } from './private-files.ts';

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

test('fault 21: keepPrivate() removes the access of other users to files of a data folder', () => {
  const data = join(mkdtempSync(join(tmpdir(), 'millrace-private-')), 'data');
  mkdirSync(join(data, 'database', 'base'), { recursive: true });
  const file = join(data, 'database', 'base', 'table');
  writeFileSync(file, 'hashes of passwords');
  chmodSync(file, 0o666);
  for (const folder of [data, join(data, 'database'), join(data, 'database', 'base')]) chmodSync(folder, 0o755);
  assert.equal(accessibleToOthers(data), 4);
  assert.equal(keepPrivate(data), 4);
  assert.deepEqual([modeOf(data), modeOf(join(data, 'database')), modeOf(file)], ['700', '700', '600']);
  assert.equal(accessibleToOthers(data), 0);
  assert.equal(keepPrivate(data), 0);
  rmSync(join(data, '..'), { recursive: true });
});

test('fault 21: a new data folder is accessible to its owner only', () => {
  const data = join(mkdtempSync(join(tmpdir(), 'millrace-private-')), 'new', 'data');
  assert.equal(keepPrivate(data), 0);
  assert.equal(modeOf(data), '700');
  rmSync(join(data, '..', '..'), { recursive: true });
});
