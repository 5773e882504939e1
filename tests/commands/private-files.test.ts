import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startServer, WITHOUT_WORLD } from '../server.ts';

test('fault 21: other users of the machine can neither read nor write the data of a server', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'millrace-files-'));
  const server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd, env: { ...WITHOUT_WORLD, MILLRACE_DEMO: 'false' } });
  try {
    const data = join(cwd, 'data');
    const modeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
    assert.equal(modeOf(data) & 0o077, 0);
    // PGlite sets the modes of its files itself; nobody else can enter their folder.
    assert.equal(modeOf(join(data, 'database')) & 0o077, 0);
    const names = readdirSync(data, { recursive: true, encoding: 'utf8' }).filter((name) => !name.startsWith(join('database', '/')));
    const open = names.filter((name) => (modeOf(join(data, name)) & 0o077) !== 0);
    assert.deepEqual(open, []);
  } finally {
    await server.stop();
    rmSync(cwd, { recursive: true, force: true });
  }
});
