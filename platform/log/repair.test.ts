import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { defineZone, type EventBatch, ZoneHost } from '@millrace/kernel';
import { MemorySnapshots, MemorySpools, openNumbers } from '@millrace/kernel/testing';
import { openLmdbLog } from './lmdb-log.ts';
import { repairLog } from './repair.ts';
import { ownShardOf } from './testing/index.ts';

const ZONES = ['counter/a', 'counter/b', 'counter/c', 'counter/d', 'counter/e', 'counter/f'];

const counter = defineZone<{ sum: number }, { type: 'Add'; by: number; text: string }, { type: 'Added'; by: number; text: string }>({
  kind: 'counter',
  version: 1,
  create: () => ({ sum: 0 }),
  decide: (_state, { by, text }, { emit }) => emit({ type: 'Added', by, text }),
  evolve: (state, { by }) => {
    state.sum += by;
  },
});

describe('fault 23: the repair of a log', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-repair-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  const openHost = (path: string, cold: MemorySnapshots) => {
    const log = openLmdbLog(path);
    const host = new ZoneHost({
      log,
      spools: new MemorySpools(),
      hot: new MemorySnapshots(),
      cold,
      clock: systemClock,
      random: openNumbers,
    });
    host.register(counter);
    return { log, host };
  };
  const sumOf = (host: ZoneHost, zone: string) => (host.view(zone)?.state as { sum: number } | undefined)?.sum;

  /** A log of some zones, and the state of each by its seq. */
  async function written(path: string, cold: MemorySnapshots, rounds: number): Promise<void> {
    const { log, host } = openHost(path, cold);
    for (const zone of ZONES) await host.open(zone);
    for (let round = 1; round <= rounds; round++) {
      const text = 'x'.repeat(round % 40 === 0 ? 9_000 : 100);
      await Promise.all(ZONES.map((zone, index) => host.submit(zone, { type: 'Add', by: round + index, text }, { durable: true })));
    }
    await log.consumers.note('readers', [1, 2, 3, 4]);
    await host.close();
    await log.close();
  }
  const all = async (path: string): Promise<EventBatch[]> => {
    const log = openLmdbLog(path);
    const found: EventBatch[] = [];
    for (const zone of ZONES) for await (const batch of log.read(zone, 0, null)) found.push(batch);
    await log.close();
    return found;
  };

  test('of a sound log loses nothing', async () => {
    const path = join(folder, 'sound');
    await written(path, new MemorySnapshots(), 120);
    const report = await repairLog(path, `${path}-new`, { snapshots: [], spools: [], zones: [] });
    assert.deepEqual([report.gaps, report.broken, report.fromSnapshots, report.setBack], [[], [], [], []]);
    assert.equal(report.events, 120 * ZONES.length);
    assert.deepEqual(await all(`${path}-new`), await all(path));
    const log = openLmdbLog(`${path}-new`);
    assert.deepEqual((await log.consumers.find('readers'))?.offsets, [1, 2, 3, 4]);
    const writer = await ownShardOf(log, ZONES[0] as string);
    assert.equal(writer.headOf(ZONES[0] as string), 120);
    assert.ok(writer.epoch > 1_000);
    await log.close();
  });

  test('of a truncated log keeps the rest, and zones continue from their snapshots', async () => {
    const path = join(folder, 'cut');
    const cold = new MemorySnapshots();
    await written(path, cold, 200);
    truncateSync(join(path, 'data.mdb'), Math.floor(statSync(join(path, 'data.mdb')).size * 0.6));
    const report = await repairLog(path, `${path}-new`, { snapshots: [cold], spools: [], zones: [] });
    assert.ok(report.events > 0 && report.events < 200 * ZONES.length, `${report.events} events were read`);
    assert.ok(report.gaps.length > 0);
    assert.deepEqual(report.broken, []);
    const { log, host } = openHost(`${path}-new`, cold);
    for (const [index, zone] of ZONES.entries()) {
      await host.open(zone);
      assert.equal(sumOf(host, zone), (200 * 201) / 2 + 200 * index, zone);
      const reply = await host.submit(zone, { type: 'Add', by: 1, text: '' }, { durable: true });
      assert.deepEqual(reply, { ok: true, seq: 201 });
    }
    await host.close();
    await log.close();
  });

  test('reports which zones cannot be opened', async () => {
    const path = join(folder, 'no-snapshots');
    await written(path, new MemorySnapshots(), 200);
    truncateSync(join(path, 'data.mdb'), Math.floor(statSync(join(path, 'data.mdb')).size * 0.6));
    const report = await repairLog(path, `${path}-new`, { snapshots: [], spools: [], zones: [] });
    const { log, host } = openHost(`${path}-new`, new MemorySnapshots());
    for (const zone of ZONES) {
      const isBroken = report.broken.some((one) => one.zone === zone);
      const opened = await host.open(zone).then(
        () => true,
        () => false,
      );
      assert.equal(opened, !isBroken, zone);
    }
    await host.close();
    await log.close();
  });
});
