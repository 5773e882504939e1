import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import { ownSecrets } from './secrets.ts';

test('fault 28b: a missing master key is not replaced; the error names the file and the remedy', async () => {
  const data = mkdtempSync(join(tmpdir(), 'millrace-master-'));
  const settings = { data, database: {}, encryption: { previousKeys: [] } } as unknown as Settings;
  const file = join(data, 'secrets', 'master-key');
  await ownSecrets(settings).secret('identity');
  const key = readFileSync(file);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  rmSync(file);
  assert.throws(
    () => ownSecrets(settings),
    (error) => error instanceof UserError && error.message.includes(file) && /backup/.test(error.remedy),
  );
  assert.equal(existsSync(file), false);
  writeFileSync(file, key);
  assert.equal(await ownSecrets(settings).secret('identity'), await ownSecrets(settings).secret('identity'));
  // A key without secrets in this folder must not be replaced either: it may have encrypted secrets in the database.
  rmSync(join(data, 'secrets', 'identity'));
  rmSync(file);
  assert.throws(() => ownSecrets(settings), UserError);
  rmSync(data, { recursive: true });
});
