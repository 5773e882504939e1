import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { EventBatch, Spool } from '@millrace/kernel';
import { MemorySpool } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { openSpool } from './spool.ts';

const MIB = 1024 * 1024;
const ZONES = ['zone/a', 'zone/b', 'zone/c'];
/** A segment of the spool has room for a few of these. */
const LARGE = 3 * MIB;

const batch = (zone: number, firstSeq: number, bytes = 10): EventBatch => ({
  ...{ zone: ZONES[zone] as string, epoch: 1, firstSeq, version: 1, time: 1, metas: null },
  events: [{ type: 'Filled', text: 'x'.repeat(bytes) } as { type: string }],
});
const seqs = (batches: readonly EventBatch[]) => batches.map(({ firstSeq }) => firstSeq);

type Step =
  | { readonly what: 'add'; readonly zones: readonly number[]; readonly bytes: number }
  | { readonly what: 'drop'; readonly count: number; readonly held: readonly number[] }
  | { readonly what: 'forget'; readonly zone: number; readonly areLost: boolean }
  | { readonly what: 'restart' };

const zone = fc.nat(ZONES.length - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('add' as const),
      zones: fc.array(zone, { maxLength: 4 }),
      bytes: fc.constantFrom(10, 10, 10, LARGE),
    }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('drop' as const), count: fc.nat(8), held: fc.subarray([0, 1, 2]) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('forget' as const), zone, areLost: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ what: 'restart' as const }) },
);

/** What a host sees of a spool. */
const seen = (spool: Spool) => ({
  batches: spool.batches,
  heldBatches: spool.heldBatches,
  oldest: seqs(spool.oldest(1_000)),
  zones: ZONES.map((address) => [seqs(spool.ofZone(address)), spool.eventsOf(address)]),
});

/** @returns a folder that is removed after the work */
async function inFolder(work: (folder: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-spool-laws-'));
  try {
    work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('the spool on disk', () => {
  test('gives what the spool in memory gives, over any number of restarts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), (steps) =>
        inFolder((folder) => {
          let spool = openSpool(folder, 1_000 * MIB);
          let model = new MemorySpool();
          let added = 0;
          for (const one of steps) {
            if (one.what === 'add') {
              const batches = one.zones.map((address) => batch(address, ++added, one.bytes));
              assert.deepEqual([spool.add(batches), model.add(batches)], [batches.length, batches.length]);
            } else if (one.what === 'drop') {
              // The zone of a batch decides whether it is held.
              const oldest = model.oldest(one.count).slice(0, one.count);
              const isHeld = (index: number) => one.held.includes(ZONES.indexOf(oldest[index]?.zone ?? ''));
              assert.deepEqual([spool.drop(one.count, isHeld), model.drop(one.count, isHeld)], [0, 0]);
            } else if (one.what === 'forget') {
              const address = ZONES[one.zone] as string;
              assert.equal(spool.forgetHeld(address, one.areLost), model.forgetHeld(address, one.areLost));
            } else {
              spool.close();
              spool = openSpool(folder, 1_000 * MIB);
              model = model.reopened();
            }
            assert.deepEqual(seen(spool), seen(model));
          }
          spool.close();
        }),
      ),
      { numRuns: 40 },
    );
  });

  test('loses no held events after a restart for others that the log has', () =>
    inFolder((folder) => {
      const open = () => openSpool(folder, 20 * MIB, (message) => assert.fail(message));
      const first = open();
      // Another owner has claimed one of three zones, whose batches are between those of the others.
      for (let seq = 1; seq <= 18; seq++) first.add([batch(seq % 3, seq, MIB - 1_000)]);
      assert.equal(
        first.drop(18, (index) => (index + 1) % 3 === 0),
        0,
      );
      first.close();
      const second = open();
      assert.deepEqual(seqs(second.oldest(100)), [3, 6, 9, 12, 15, 18]);
      // By now, others have claimed all zones.
      assert.equal(
        second.drop(second.batches, () => true),
        0,
      );
      assert.deepEqual(seqs(second.ofZone('zone/a')), [3, 6, 9, 12, 15, 18]);
      second.close();
    }));

  test('reports held events that are lost because they fill half of it', () =>
    inFolder((folder) => {
      const messages: string[] = [];
      const spool = openSpool(folder, 1_000, (message) => messages.push(message));
      spool.add([batch(0, 1, 300), batch(1, 2, 300)]);
      assert.equal(
        spool.drop(2, () => true),
        1,
      );
      assert.deepEqual(messages, ['1 events of zone/a are lost: held batches fill half of the spool']);
      spool.close();
    }));
});
