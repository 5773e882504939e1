import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Instrument, Source, Wire } from '@millrace/contracts';
import { contentOf } from '../response.ts';
import { startServer, WITHOUT_WORLD } from '../server.ts';

/** Longer than the time between two trades of an instrument, even on a busy machine. */
const OLD_MS = 20_000;

test('fault 38: from the first response on, no instrument is live with an old price', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-simulated-past-'));
  const sources = JSON.stringify([{ id: 'simulator', type: 'simulator', instruments: ['BTC-USDT', 'ETH-USDT'], historyMinutes: 60 }]);
  // The first start simulates the history, the second one only the time since then.
  for (let start = 0; start < 2; start++) {
    const server = await startServer(['up', '--port', '0'], { cwd: folder, env: { ...WITHOUT_WORLD, MILLRACE_SOURCES: sources } });
    const get = async <T>(path: string) => (await contentOf(await fetch(`${server.url}/api/v1${path}`))) as T;
    for (;;) {
      const [source] = await get<Source[]>('/sources');
      const instruments = await get<Wire<Instrument>[]>('/instruments');
      for (const { id, status, updatedAt } of instruments)
        assert.ok(
          status === 'stale' || Date.now() - Date.parse(updatedAt ?? '') < OLD_MS,
          `${id} is ${status} with data of ${Math.round((Date.now() - Date.parse(updatedAt ?? '')) / 1_000)} s ago`,
        );
      if (source?.state === 'live' && instruments.length === 2 && instruments.every(({ status }) => status === 'live')) break;
    }
    await server.stop();
  }
  rmSync(folder, { recursive: true, force: true });
});
