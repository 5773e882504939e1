import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openFileSnapshots } from './file-snapshots.ts';
import { openLmdbSnapshots } from './lmdb-snapshots.ts';
import { snapshotAt, snapshotStoreContract } from './snapshot-store.contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-snapshots-'));
after(() => rmSync(folder, { recursive: true, force: true }));

snapshotStoreContract('files', () => openFileSnapshots(join(folder, 'cold')));
snapshotStoreContract('LMDB', () => openLmdbSnapshots(join(folder, 'hot')));

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('cold snapshots', () => {
  test('damage of a single byte is detected', async () => {
    const store = openFileSnapshots(join(folder, 'damaged'));
    await store.save(snapshotAt(3));
    const [label] = await store.list('zone/a:b/c d');
    assert.ok(label);
    await store.verify(label);
    const inside = join(folder, 'damaged', encodeURIComponent('zone/a:b/c d'));
    const path = join(inside, readdirSync(inside)[0] ?? '');
    const content = readFileSync(path);
    content[content.length - 1] = (content.at(-1) ?? 0) ^ 1;
    writeFileSync(path, content);
    await assert.rejects(store.load(label), /checksum differs/);
    await assert.rejects(store.verify(label), /checksum differs/);
  });

  test('a snapshot that cannot be written leaves no file behind', async () => {
    const inside = join(folder, 'unwritable', encodeURIComponent('zone/a:b/c d'));
    // A folder in the place of the file.
    mkdirSync(join(inside, '3-2-3000.snapshot'), { recursive: true });
    await assert.rejects(openFileSnapshots(join(folder, 'unwritable')).save(snapshotAt(3)));
    assert.deepEqual(readdirSync(inside), ['3-2-3000.snapshot']);
  });

  test('zones() lists the zones that have snapshots', async () => {
    const store = openFileSnapshots(join(folder, 'zones'));
    assert.deepEqual(await store.zones(), []);
    await store.save(snapshotAt(3));
    await store.save(snapshotAt(1, 0, 'zone/other'));
    writeFileSync(join(folder, 'zones', '.DS_Store'), '');
    assert.deepEqual((await store.zones()).sort(), ['zone/a:b/c d', 'zone/other']);
  });

  test('retention: all of the last hour, hourly for two days, daily for 30 days, and always the newest two', async () => {
    const store = openFileSnapshots(join(folder, 'kept'));
    const now = 100 * DAY;
    for (let age = 40 * DAY, seq = 1; age >= 0; age -= 6 * HOUR) await store.save(snapshotAt(seq++, now - age, 'zone/kept'));
    const ages = (await store.list('zone/kept')).map(({ time }) => now - time);
    assert.ok(ages.length < 45 && ages.length > 30, `${ages.length} snapshots`);
    assert.ok(ages.every((age) => age < 30 * DAY));
    assert.equal(ages[0], 0);
  });
});

describe('hot snapshots', () => {
  test('retention: five minutes', async () => {
    const store = openLmdbSnapshots(join(folder, 'minutes'));
    assert.deepEqual(store.zones(), []);
    for (let minute = 0; minute <= 10; minute++) await store.save(snapshotAt(minute + 1, minute * 60_000, 'zone/brief'));
    assert.deepEqual(
      (await store.list('zone/brief')).map(({ seq }) => seq),
      [11, 10, 9, 8, 7, 6],
    );
    await store.save(snapshotAt(1, 0, 'zone/other'));
    assert.deepEqual(store.zones(), ['zone/brief', 'zone/other']);
    await store.close();
  });
});
