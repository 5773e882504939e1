import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { EventBatch, Spool } from '@millrace/kernel';
import { MemorySpools } from '@millrace/kernel/testing';
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
  | { readonly what: 'drop'; readonly count: number }
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
  { weight: 3, arbitrary: fc.record({ what: fc.constant('drop' as const), count: fc.nat(8) }) },
  { weight: 2, arbitrary: fc.constant({ what: 'restart' as const }) },
);

/** What a host sees of a spool. */
const seen = (spool: Omit<Spool, 'begin'>) => ({
  batches: spool.batches,
  oldest: seqs(spool.oldest(1_000)),
  zones: ZONES.map((address) => seqs(spool.ofZone(address))),
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
          const model = new MemorySpools().open(0, 'owner', '');
          let added = 0;
          for (const one of steps) {
            if (one.what === 'add') {
              const batches = one.zones.map((address) => batch(address, ++added, one.bytes));
              assert.deepEqual([spool.add(batches), model.add(batches)], [batches.length, batches.length]);
            } else if (one.what === 'drop') {
              spool.drop(one.count);
              model.drop(one.count);
            } else {
              spool.close();
              spool = openSpool(folder, 1_000 * MIB);
            }
            assert.deepEqual(seen(spool), seen(model));
          }
          spool.close();
        }),
      ),
      { numRuns: 40 },
    );
  });
});
