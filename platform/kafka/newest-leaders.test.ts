import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newestLeaders } from './newest-leaders.ts';

const leader = (partitionIndex: number, leaderId: number, leaderEpoch: number, replicaNodes = [1, 2, 3]) => ({
  ...{ partitionIndex, leaderId, leaderEpoch, replicaNodes },
});
const old = leader(0, 1, 4);
const next = leader(0, 2, 5);

test('the leader with the newest epoch counts, whichever broker tells it, and in any order', () => {
  const told = [
    { nodeId: 1, partitions: [old] },
    { nodeId: 2, partitions: [next] },
    { nodeId: 3, partitions: [old] },
  ];
  assert.deepEqual(newestLeaders(told), [next]);
  assert.deepEqual(newestLeaders(told.toReversed()), [next]);
});

test('a replaced leader that only its own replica tells is not believed', () => {
  assert.deepEqual(newestLeaders([{ nodeId: 1, partitions: [old] }]), []);
  const others = [4, 5].map((nodeId) => ({ nodeId, partitions: [old] }));
  assert.deepEqual(newestLeaders([{ nodeId: 1, partitions: [old] }, ...others]), [], 'brokers without a replica may be as late');
});

test('each partition has a majority of its own', () => {
  const [single, even] = [leader(1, 1, 0, [1]), leader(2, 1, 0, [1, 2])];
  assert.deepEqual(newestLeaders([{ nodeId: 1, partitions: [old, single, even] }]), [single]);
  const both = [
    { nodeId: 1, partitions: [old, single, even] },
    { nodeId: 2, partitions: [even] },
  ];
  assert.deepEqual(newestLeaders(both), [single, even], 'the second broker does not know the first partition');
});

test('without an answer nothing is known', () => {
  assert.deepEqual(newestLeaders([]), []);
});
