import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { defineZone, type EventBatch, lastSeqOf, ZoneHost } from '@millrace/kernel';
import { guardedLog, MemorySnapshots, openNumbers } from '@millrace/kernel/testing';
import type { EventLog } from './event-log.ts';
import { openLmdbLog } from './lmdb-log.ts';
import { partitionIndex } from './partitions.ts';
import { repairLog } from './repair.ts';
import { readSpools } from './spooled-events.ts';
import { openSpools } from './spools.ts';

const MIB = 1024 * 1024;

/** The order of the values is part of the state, so that no two histories have the same state. */
const recorder = defineZone<
  { values: number[] },
  { type: 'Add'; value: number; text?: string },
  { type: 'Added'; value: number; text: string }
>({
  kind: 'recorder',
  version: 1,
  create: () => ({ values: [] }),
  decide: (_state, { value, text = '' }, { emit }) => emit({ type: 'Added', value, text }),
  evolve: (state, { value }) => {
    state.values.push(value);
  },
});

/** A log that rejects appends and claims while `isUnavailable`. */
function withOutages(log: EventLog) {
  const outage = { isUnavailable: false };
  const pass = async (call: string) => {
    if (outage.isUnavailable && call !== 'read') throw new Error('the disk is gone');
  };
  return { outage, log: guardedLog(log, pass) };
}

describe('fault 23: a repair and events that still exist', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-repair-existing-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** A host as in the server, with a folder for the log and one for the spool. */
  const openHost = (path: string, snapshots: { hot: MemorySnapshots; cold: MemorySnapshots }) => {
    const opened = openLmdbLog(path);
    const { outage, log } = withOutages(opened);
    const spools = openSpools(`${path}.spool`, { bytesMax: MIB, writesLeft: true });
    const host = new ZoneHost({ log, spools, ...snapshots, clock: systemClock, random: openNumbers });
    host.register(recorder);
    const close = async () => {
      await host.close();
      await opened.close();
    };
    return { host, outage, close };
  };
  const valuesOf = (host: ZoneHost, zone: string) => (host.view(zone)?.state as { values: number[] } | undefined)?.values;
  const recorded = async (path: string, zone: string): Promise<EventBatch[]> => {
    const log = openLmdbLog(path);
    const found: EventBatch[] = [];
    for await (const batch of log.read(zone, 0, null)) found.push(batch);
    await log.close();
    return found;
  };
  const spoolsOf = (path: string) => readSpools(`${path}.spool`, assert.fail);
  const seqsOf = (batches: readonly EventBatch[]) => batches.map((batch) => [batch.firstSeq, lastSeqOf(batch), Boolean(batch.loss)]);

  test('a snapshot that is ahead of the log, with its events on the spool, replaces no events', async () => {
    const path = join(folder, 'spooled');
    const snapshots = { hot: new MemorySnapshots(), cold: new MemorySnapshots() };
    const { host, outage, close } = openHost(path, snapshots);
    const zones = ['recorder/a', 'recorder/b'];
    for (const zone of zones) await host.open(zone);
    for (let value = 1; value <= 4; value++) for (const zone of zones) await host.submit(zone, { type: 'Add', value }, { durable: true });
    outage.isUnavailable = true;
    for (let value = 5; value <= 8; value++) for (const zone of zones) await host.submit(zone, { type: 'Add', value });
    await host.flushed();
    await close();
    const spools = spoolsOf(path);
    const report = await repairLog(path, `${path}-new`, { snapshots: [snapshots.cold], spools, zones: [] });
    for (const spool of spools) spool.close();
    assert.deepEqual(report.fromSnapshots, []);

    renameSync(`${path}.spool`, `${path}-new.spool`);
    const next = openHost(`${path}-new`, { hot: new MemorySnapshots(), cold: new MemorySnapshots() });
    await next.host.recorded();
    for (const zone of zones) {
      await next.host.open(zone);
      assert.deepEqual(valuesOf(next.host, zone), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
    await next.close();
    for (const zone of zones) {
      const batches = await recorded(`${path}-new`, zone);
      assert.deepEqual(seqsOf(batches).at(-1)?.[1], 8);
      assert.ok(batches.every(({ loss }) => !loss));
    }
  });

  test('a state that replaces lost events has its owner’s epoch, and the zone opens even if earlier events are lost', async () => {
    const path = join(folder, 'lost');
    const zone = 'recorder/a';
    const snapshots = { hot: new MemorySnapshots(), cold: new MemorySnapshots() };
    const { host, close } = openHost(path, snapshots);
    await host.open(zone);
    for (let value = 1; value <= 8; value++) {
      await host.submit(zone, { type: 'Add', value, text: `${value}`.repeat(3_000) }, { durable: true });
      if (value === 4) cpSync(path, `${path}-damaged`, { recursive: true });
    }
    for (let value = 9; value <= 12; value++) await host.submit(zone, { type: 'Add', value }, { durable: true });
    await close();
    snapshots.hot.snapshots.length = 0;
    overwritePagesWith(join(`${path}-damaged`, 'data.mdb'), '2222');
    const report = await repairLog(`${path}-damaged`, `${path}-new`, { snapshots: [snapshots.hot, snapshots.cold], spools: [], zones: [] });
    assert.deepEqual([report.fromSnapshots, report.restored, report.broken], [[{ zone, after: 4, seq: 12 }], [], []]);
    const batches = await recorded(`${path}-new`, zone);
    assert.deepEqual(seqsOf(batches).slice(-2), [
      [4, 4, false],
      [5, 12, true],
    ]);
    const instead = batches.at(-1);
    assert.equal(instead?.epoch, 1, 'whose state it is');
    const next = openHost(`${path}-new`, snapshots);
    await next.host.open(zone);
    assert.deepEqual(
      valuesOf(next.host, zone),
      Array.from({ length: 12 }, (_none, index) => index + 1),
    );
    assert.deepEqual(await next.host.submit(zone, { type: 'Add', value: 13 }, { durable: true }), { ok: true, seq: 13 });
    await next.close();
  });

  test('a zone that only has a snapshot continues from it, and is recorded again', async () => {
    const path = join(folder, 'forgotten');
    const snapshots = { hot: new MemorySnapshots(), cold: new MemorySnapshots() };
    const zone = 'recorder/a';
    const whole = openHost(`${path}-whole`, snapshots);
    await whole.host.open(zone);
    for (let value = 1; value <= 3; value++) await whole.host.submit(zone, { type: 'Add', value }, { durable: true });
    await whole.close();
    // A log without the zone, as when the pages with its events and its head are damaged.
    await openLmdbLog(path).close();
    const sources = { snapshots: [snapshots.hot, snapshots.cold], spools: [], zones: [zone] };
    const report = await repairLog(path, `${path}-new`, sources);
    assert.deepEqual(report.fromSnapshots, [{ zone, after: 0, seq: 3 }]);
    const next = openHost(`${path}-new`, snapshots);
    await next.host.open(zone);
    assert.deepEqual(valuesOf(next.host, zone), [1, 2, 3]);
    assert.deepEqual(await next.host.submit(zone, { type: 'Add', value: 4 }, { durable: true }), { ok: true, seq: 4 });
    await next.close();
  });

  test('a zone whose events were all dropped by retention lacks no events', async () => {
    const path = join(folder, 'retained');
    const snapshots = { hot: new MemorySnapshots(), cold: new MemorySnapshots() };
    const { host, close } = openHost(path, snapshots);
    const [idle, busy] = inOnePartition();
    for (const zone of [idle, busy]) await host.open(zone);
    for (const zone of [idle, idle, busy]) await host.submit(zone, { type: 'Add', value: 1 }, { durable: true });
    await close();
    const log = openLmdbLog(path);
    assert.equal(await log.retain({ olderThanMs: 0, bytesMax: MIB }, Number.MAX_SAFE_INTEGER), 2);
    await log.close();
    const report = await repairLog(path, `${path}-new`, { snapshots: [snapshots.cold], spools: [], zones: [] });
    assert.deepEqual([report.fromSnapshots, report.setBack, report.broken, report.gaps], [[], [], [], []]);
    const next = openHost(`${path}-new`, snapshots);
    await next.host.open(idle);
    assert.deepEqual(valuesOf(next.host, idle), [1, 1]);
    assert.deepEqual(await next.host.submit(idle, { type: 'Add', value: 2 }, { durable: true }), { ok: true, seq: 3 });
    await next.close();
  });

  test('records that retention has dropped do not come back, and are no gaps', async () => {
    const path = join(folder, 'dropped');
    const zone = 'recorder/dropped';
    const snapshots = { hot: new MemorySnapshots(), cold: new MemorySnapshots() };
    const record = async (count: number) => {
      const { host, close } = openHost(path, snapshots);
      await host.open(zone);
      for (let value = 0; value < count; value++) await host.submit(zone, { type: 'Add', value, text: 'x'.repeat(200) }, { durable: true });
      await close();
    };
    const spanOf = async (folderOfLog: string) => {
      const log = openLmdbLog(folderOfLog);
      const span = log.stats().partitions[partitionIndex(zone)];
      await log.close();
      return span;
    };
    await record(300);
    const log = openLmdbLog(path);
    assert.equal(await log.retain({ olderThanMs: 0, bytesMax: MIB }, Number.MAX_SAFE_INTEGER), 299);
    await log.close();
    // The file still has pages with dropped records.
    await record(5);
    assert.deepEqual(await spanOf(path), { start: 299, end: 305 });
    const repair = (from: string) => repairLog(from, `${from}-new`, { snapshots: [snapshots.cold], spools: [], zones: [] });
    const report = await repair(path);
    assert.deepEqual([report.gaps, report.fromSnapshots, report.setBack, report.broken], [[], [], [], []]);
    assert.equal(report.records, 6);
    assert.deepEqual(await spanOf(`${path}-new`), { start: 299, end: 305 });
  });
});

function overwritePagesWith(path: string, text: string): void {
  const content = readFileSync(path);
  for (let at = content.indexOf(text); at >= 0; at = content.indexOf(text))
    content.fill(0xaa, at - (at % 4_096), at - (at % 4_096) + 4_096);
  writeFileSync(path, content);
}

/** Two zones whose events are in one partition. */
function inOnePartition(): [string, string] {
  const zones = Array.from({ length: 100 }, (_none, index) => `recorder/${index}`);
  const other = zones.slice(1).find((zone) => partitionIndex(zone) === partitionIndex(zones[0] as string));
  return [zones[0] as string, other as string];
}
