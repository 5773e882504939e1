import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../testing/until.ts';
import type { GroupStore } from '../leased-membership.ts';
import type { HeldPartition } from '../membership.ts';

const LONG_MS = 3_600_000;
const PARTITIONS = 6;

/** What every store of memberships must do. @param storeOf gives a store of the same groups, as another process has it */
export function testGroupStore(storeOf: () => GroupStore): void {
  const beatOf =
    (store: GroupStore, member: string, leaseMs = LONG_MS) =>
    (released: readonly HeldPartition[] = []) =>
      store.beat('g', { member, leaseMs, partitions: PARTITIONS, released });
  const numbersOf = (held: readonly HeldPartition[]) => held.map(({ partition }) => partition);

  test('a partition goes to another member when its owner has released it, under a new generation', async () => {
    const [a, b] = [beatOf(storeOf(), 'a'), beatOf(storeOf(), 'b')];
    const first = await a();
    assert.deepEqual([first.generation, numbersOf(first.held)], [1, [0, 1, 2, 3, 4, 5]]);
    assert.deepEqual(await b(), { generation: 1, held: [], unwanted: [] });
    const { held, unwanted } = await a();
    assert.deepEqual(unwanted, [3, 4, 5]);
    assert.deepEqual((await b()).held, []);
    const released = await a(held.filter(({ partition }) => unwanted.includes(partition)));
    assert.deepEqual([released.generation, numbersOf(released.held), released.unwanted], [2, [0, 1, 2], []]);
    assert.deepEqual(
      (await b()).held,
      unwanted.map((partition) => ({ partition, generation: 2 })),
    );
  });

  test('the partitions of a member that leaves go to the others at once', async () => {
    const store = storeOf();
    await beatOf(store, 'a')();
    await beatOf(storeOf(), 'b')();
    await store.leave('g', 'a');
    await store.leave('g', 'unknown');
    assert.deepEqual(numbersOf((await beatOf(storeOf(), 'b')()).held), [0, 1, 2, 3, 4, 5]);
  });

  test('the partitions of a member go to the others when its lease has ended by the time of the store', async () => {
    await beatOf(storeOf(), 'a', 50)();
    const b = beatOf(storeOf(), 'b');
    await until(async () => (await b()).held.length === PARTITIONS, 'the lease has ended');
    const late = await beatOf(storeOf(), 'a')();
    assert.deepEqual(late.held, []);
  });

  test('of members that beat at the same time, no two have a partition, and each learns an increasing generation', async () => {
    const owners = new Map<string, string>();
    let highest = 0;
    await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map(async (member) => {
        const beat = beatOf(storeOf(), member);
        let released: readonly HeldPartition[] = [];
        let own = 0;
        for (let round = 0; round < 12; round++) {
          const reply = await beat(released);
          assert.ok(reply.generation >= own);
          own = reply.generation;
          highest = Math.max(highest, own);
          released = reply.held.filter(({ partition }) => reply.unwanted.includes(partition));
          for (const { partition, generation } of reply.held) {
            const key = `${partition} in ${generation}`;
            assert.equal(owners.get(key) ?? member, member, key);
            owners.set(key, member);
          }
        }
      }),
    );
    assert.ok(highest > 1);
    const replies = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((member) => beatOf(storeOf(), member)()));
    assert.deepEqual(replies.flatMap(({ held }) => numbersOf(held)).sort(), [0, 1, 2, 3, 4, 5]);
  });

  test('groups are apart', async () => {
    const store = storeOf();
    await beatOf(store, 'a')();
    const other = await store.beat('other', { member: 'b', leaseMs: LONG_MS, partitions: 2, released: [] });
    assert.deepEqual(numbersOf(other.held), [0, 1]);
  });
}
