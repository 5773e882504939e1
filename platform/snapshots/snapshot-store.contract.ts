import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Snapshot, SnapshotStore } from '@millrace/kernel';

/** A snapshot for tests. @param time epoch ms */
export function snapshotAt(seq: number, time = seq * 1_000, zone = 'zone/a:b/c d'): Snapshot {
  return {
    zone,
    version: 1,
    epoch: 2,
    seq,
    time,
    position: seq * 10,
    answered: [['c1', seq]],
    state: { count: seq, names: new Map([['한글', 1]]), list: [1.5, null] },
  };
}

/** Contract of every snapshot store. @param open opens the same store each time */
export function snapshotStoreContract(name: string, open: () => SnapshotStore & { close?(): unknown }): void {
  describe(`${name} as a snapshot store`, () => {
    test('returns saved snapshots, newest first, also after a reopen', async () => {
      const store = open();
      for (const seq of [5, 9, 7]) await store.save(snapshotAt(seq));
      await store.save(snapshotAt(1, 1_000, 'zone/other'));
      await store.close?.();
      const again = open();
      const labels = await again.list('zone/a:b/c d');
      assert.deepEqual(
        labels.map(({ seq }) => seq),
        [9, 7, 5],
      );
      assert.deepEqual(await again.load(labels[0] as (typeof labels)[0]), snapshotAt(9));
      assert.deepEqual(await again.list('zone/nothing'), []);
      await again.close?.();
    });

    test('saves the state at the time of the call, not at the time of the write', async () => {
      const store = open();
      const snapshot = snapshotAt(20);
      const saved = store.save(snapshot);
      (snapshot.state as { count: number }).count = -1;
      await saved;
      const [label] = await store.list(snapshot.zone);
      assert.deepEqual((await store.load(label as NonNullable<typeof label>)).state, snapshotAt(20).state);
      await store.close?.();
    });

    test('rejects when a snapshot does not exist', async () => {
      const store = open();
      await assert.rejects(store.load({ zone: 'zone/a:b/c d', seq: 4_711, epoch: 1, time: 1 }));
      await store.close?.();
    });
  });
}
