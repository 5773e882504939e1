import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createClient, type Millrace } from '@millrace/client';
import { type ServerProcess, startServer, WITHOUT_WORLD } from '../server.ts';

/*
 * Responses are cached until their subject changes. The law: a published event is never newer than a response.
 */

describe('cached responses', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-answers-'));
  const id = 'simulator:BTC-USDT';
  let server: ServerProcess;
  let millrace: Millrace;
  before(async () => {
    server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder, env: WITHOUT_WORLD });
    millrace = createClient({ url: server.url });
  });
  after(async () => {
    millrace.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (headers: Record<string, string> = {}) => fetch(`${server.url}/api/v1/instruments/${id}/trades?limit=3`, { headers });

  test('contain every published trade', async () => {
    let told = 0;
    for await (const { event, data } of millrace.events([`trades:${id}` as `trades:${string}`])) {
      // The simulator first creates some history, faster than requests arrive.
      if (event !== 'trade' || !('id' in data) || data.time < Date.now() - 2_000) continue;
      const { rows, columns } = await millrace.getTrades({ id, limit: 200 });
      const ids = rows.map((row) => row[columns.indexOf('id')]);
      assert.ok(ids.includes(data.id), `${data.id} was told of, and is not among ${ids.slice(0, 3)}`);
      if (++told === 25) break;
    }
  });

  test('are 304 for a current ETag, and new after a change', async () => {
    await millrace.pauseSource({ id: 'simulator' });
    while ((await millrace.getInstrument({ id })).status !== 'stale');
    const first = await ask();
    const etag = first.headers.get('etag') ?? '';
    assert.match(etag, /^"[\w-]{27}"$/);
    assert.equal(first.headers.get('cache-control'), 'private, no-cache');
    await first.text();
    const again = await ask({ 'if-none-match': `"other", W/${etag}` });
    assert.deepEqual([again.status, await again.text()], [304, '']);
    await millrace.resumeSource({ id: 'simulator' });
    for await (const { event } of millrace.events([`trades:${id}`])) if (event === 'trade') break;
    const newer = await ask({ 'if-none-match': etag });
    assert.equal(newer.status, 200);
    assert.notEqual(newer.headers.get('etag'), etag);
  });

  test('are counted', async () => {
    const counted = async () => {
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      const count = (name: string) => Number(new RegExp(`^millrace_cache_${name}_total\\S* (\\d+)$`, 'm').exec(metrics)?.[1]);
      return { all: count('hits') + count('misses') + count('stale'), misses: count('misses') };
    };
    const before = await counted();
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await ask()).status));
    const after = await counted();
    assert.ok(after.misses > 0);
    assert.equal(after.all - before.all, 20, JSON.stringify({ before, after, statuses }));
  });
});
