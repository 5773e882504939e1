import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { EMPTY_GROUP, type GroupState, heartbeat, targetsOf, withoutMember } from './group-state.ts';

const MEMBERS = ['a', 'b', 'c', 'd'];
const LEASE_MS = 100;

const leasesOf = (members: readonly string[], partitions: number) =>
  Object.fromEntries(members.map((member) => [member, { until: LEASE_MS, partitions }]));

/** Members, at least one, and an owner of each partition, who may be gone. */
const groups = fc
  .record({
    members: fc.subarray(MEMBERS, { minLength: 1 }),
    owners: fc.array(fc.constantFrom(...MEMBERS, null), { minLength: 1, maxLength: 6 }),
  })
  .map(({ members, owners }) => ({ members, owners: owners.map((owner) => (owner !== null && members.includes(owner) ? owner : null)) }));

const movesOf = (owners: readonly (string | null)[], targets: readonly (string | null)[]) =>
  owners.filter((owner, partition) => owner !== null && owner !== targets[partition]).length;

/** Every way to give partitions to members whose numbers differ by one at most. */
function* balanced(members: readonly string[], count: number, given: readonly string[] = []): Generator<readonly string[]> {
  if (given.length < count) {
    for (const member of members) yield* balanced(members, count, [...given, member]);
    return;
  }
  const numbers = members.map((member) => given.filter((one) => one === member).length);
  if (Math.max(...numbers) - Math.min(...numbers) <= 1) yield given;
}

describe('the owners of the partitions of a group', () => {
  test('are balanced, and as few partitions as possible move', () => {
    fc.assert(
      fc.property(groups, ({ members, owners }) => {
        const partitions = owners.map((owner) => ({ owner, generation: 1 }));
        const targets = targetsOf({ leases: leasesOf(members, owners.length), partitions });
        const numbers = members.map((member) => targets.filter((one) => one === member).length);
        assert.ok(Math.max(...numbers) - Math.min(...numbers) <= 1, `${numbers}`);
        assert.equal(targets.includes(null), false);
        const least = Math.min(...[...balanced(members, owners.length)].map((ways) => movesOf(owners, ways)));
        assert.equal(movesOf(owners, targets), least);
      }),
      { numRuns: 300 },
    );
  });

  test('change only after a release or the end of a lease; then the generation grows', () => {
    const beat = (state: GroupState, member: string, now: number, released: { partition: number; generation: number }[] = []) =>
      heartbeat(state, now, { member, leaseMs: LEASE_MS, partitions: 4, released });
    const first = beat(EMPTY_GROUP, 'a', 0);
    assert.deepEqual(first.reply, { generation: 1, held: [0, 1, 2, 3].map((partition) => ({ partition, generation: 1 })), unwanted: [] });
    const second = beat(first.state, 'b', 10);
    assert.deepEqual(second.reply, { generation: 1, held: [], unwanted: [] });
    const asked = beat(second.state, 'a', 20);
    assert.deepEqual(asked.reply.unwanted, [2, 3]);
    // A release that was for another generation is not one of this assignment.
    assert.deepEqual(beat(asked.state, 'a', 20, [{ partition: 2, generation: 7 }]).state.generation, 1);
    const released = beat(
      asked.state,
      'a',
      20,
      asked.reply.unwanted.map((partition) => ({ partition, generation: 1 })),
    );
    assert.deepEqual([released.reply.generation, released.reply.unwanted], [2, []]);
    const got = beat(released.state, 'b', 30);
    assert.deepEqual(
      got.reply.held,
      [2, 3].map((partition) => ({ partition, generation: 2 })),
    );
    const alone = beat(got.state, 'b', 20 + LEASE_MS);
    assert.deepEqual(
      alone.reply.held,
      [0, 1, 2, 3].map((partition) => ({ partition, generation: partition < 2 ? 3 : 2 })),
    );
    assert.deepEqual(
      withoutMember(alone.state, 'b').partitions,
      alone.state.partitions.map(() => ({ owner: null, generation: 4 })),
    );
  });

  test('a member keeps its partitions when it renews an ended lease before anyone has taken them', () => {
    const { state } = heartbeat(EMPTY_GROUP, 0, { member: 'a', leaseMs: LEASE_MS, partitions: 2, released: [] });
    const late = heartbeat(state, 50 * LEASE_MS, { member: 'a', leaseMs: LEASE_MS, partitions: 2, released: [] });
    assert.deepEqual(late.state.partitions, state.partitions);
    assert.equal(late.reply.generation, 1);
  });

  test('a process takes over at once from an earlier one in its place, and later heartbeats of either change nothing', () => {
    const beat = (state: GroupState, member: string, replaces?: string) =>
      heartbeat(state, 0, { member, leaseMs: LEASE_MS, partitions: 2, released: [], ...(replaces !== undefined && { replaces }) });
    let { state } = beat(EMPTY_GROUP, 'here/1');
    ({ state } = beat(state, 'elsewhere/1'));
    const began = beat(state, 'here/2', 'here/');
    assert.deepEqual(began.reply.held, [{ partition: 1, generation: 2 }]);
    assert.deepEqual(Object.keys(began.state.leases), ['elsewhere/1', 'here/2']);
    // The first one runs still, against the rule: both are members then, and it has lost its partitions.
    const both = beat(began.state, 'here/1');
    assert.deepEqual([both.reply.held, Object.keys(both.state.leases).length], [[], 3]);
    assert.deepEqual(beat(both.state, 'here/2').reply.held, began.reply.held);
  });

  test('a partition goes only to members that know it', () => {
    let { state } = heartbeat(EMPTY_GROUP, 0, { member: 'old', leaseMs: LEASE_MS, partitions: 2, released: [] });
    ({ state } = heartbeat(state, 0, { member: 'new', leaseMs: LEASE_MS, partitions: 5, released: [] }));
    assert.deepEqual(
      state.partitions.map(({ owner }) => owner),
      ['old', 'old', 'new', 'new', 'new'],
    );
    state = withoutMember(state, 'new');
    assert.deepEqual(
      state.partitions.map(({ owner }) => owner),
      ['old', 'old', null, null, null],
    );
  });
});
