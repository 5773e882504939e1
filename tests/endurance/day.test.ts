import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Instrument } from '@millrace/contracts';
import { platform, total } from '../feeds/running.ts';

/*
 * 24 simulated hours at full speed: memory stays flat, and nothing is lost or duplicated between source and store.
 */

const PAIRS = ['BTC-USDT', 'ETH-USDT', 'SOL-USDT', 'BTC-KRW'];
const TRADES_PER_SECOND = 1;
const DAY_SECONDS = 86_400;
/** Maximum growth of caches and pools after the warm-up. */
const GROWTH_MIB_MAX = 40;
const MIB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('a day of the simulator at full speed', () => {
  test('keeps memory flat and counts the same from source to store', async () => {
    const running = await platform([
      { id: 'sim', type: 'simulator', instruments: PAIRS, tradesPerSecond: TRADES_PER_SECOND, historyMinutes: 1_440 },
    ]);
    try {
      const expected = DAY_SECONDS * TRADES_PER_SECOND * PAIRS.length;
      const memory: number[] = [];
      for (const share of [0.25, 0.5, 0.75, 0.98]) {
        await running.until(({ frames }) => frames >= expected * share);
        await running.settled();
        collectGarbage();
        memory.push(process.memoryUsage().heapUsed / MIB);
      }
      const paused = await fetch(`${running.url}/api/v1/sources/sim/pause`, { method: 'POST' });
      assert.equal(paused.status, 200);
      await running.settled();
      const source = await running.until(({ state }) => state === 'paused');
      const instruments = await running.get<Instrument[]>('/api/v1/instruments');
      const stored = await running.series.stats();
      assert.equal(total(source.refused), 0);
      assert.equal(
        instruments.reduce((sum, { trades }) => sum + trades, 0),
        source.frames,
        'zones have what the source sent',
      );
      assert.equal(stored.trades, source.frames, 'the store has what the source sent');
      const growth = (memory.at(-1) ?? 0) - (memory[0] ?? 0);
      assert.ok(growth < GROWTH_MIB_MAX, `the heap grew by ${growth.toFixed(1)} MiB: ${memory.map((mib) => mib.toFixed(1)).join(', ')}`);
    } finally {
      await running.end();
    }
  });
});
