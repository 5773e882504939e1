import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import type { Heartbeat, HeartbeatReply } from './group-state.ts';
import { LeasedMembership } from './leased-membership.ts';

const held = (generation: number, ...partitions: number[]) => partitions.map((partition) => ({ partition, generation }));

describe('a member of a group with leases', () => {
  let clock: ManualClock;
  /** Heartbeats that were received, and the replies to the next ones; the last one is repeated. */
  let beats: Heartbeat[];
  let replies: (() => Promise<HeartbeatReply>)[];
  let told: string[];
  let leave: () => Promise<void>;
  let names: number;
  const reply =
    (generation: number, all: HeartbeatReply['held'], unwanted: number[] = []) =>
    async () => ({ generation, held: all, unwanted });

  beforeEach(() => {
    clock = new ManualClock();
    [beats, replies, told, names] = [[], [], [], 0];
    leave = async () => {};
  });

  const membership = (place?: string) =>
    new LeasedMembership({
      ...(place !== undefined && { place }),
      store: {
        beat: async (_group, beat) => {
          beats.push(beat);
          const next = replies.length > 1 ? replies.shift() : replies[0];
          return (next ?? reply(1, []))();
        },
        leave: () => leave(),
      },
      clock,
      partitions: 3,
      newMember: () => `member-${names++}`,
    });
  const join = (of = membership(), revoked: () => Promise<void> = async () => {}) =>
    of.join('g', {
      assigned: async (partitions, generation) => void told.push(`assigned ${partitions} in ${generation}`),
      revoked: async (partitions) => {
        told.push(`revoked ${partitions}`);
        await revoked();
      },
      failed: (error) => void told.push(error === null ? 'ok' : `failed: ${(error as Error).message}`),
    });
  const toldOf = () => told.filter((one) => one !== 'ok');

  test('has what is free as soon as it has joined, by the generation of each partition', async () => {
    replies = [reply(5, [...held(3, 0, 2), ...held(5, 1)])];
    await join();
    assert.deepEqual(told, ['assigned 0,2 in 3', 'assigned 1 in 5']);
  });

  test('replaces members of its place with its first heartbeat only, which is repeated under its name until it is answered', async () => {
    replies = [() => Promise.reject(new Error('the reply is lost')), reply(1, held(1, 0))];
    const of = membership('folder');
    await assert.rejects(join(of), /the reply is lost/);
    await join(of);
    await clock.advance(1_000);
    assert.deepEqual(
      beats.map(({ member, replaces }) => [member, replaces]),
      [
        ['folder#member-0', 'folder#'],
        ['folder#member-0', 'folder#'],
        ['folder#member-0', undefined],
      ],
    );
  });

  test('gives up a partition that was assigned to another one meanwhile, before it gets it again', async () => {
    replies = [reply(1, held(1, 0, 1)), reply(4, [...held(4, 0), ...held(1, 1)]), reply(5, held(4, 0))];
    await join();
    told = [];
    await clock.advance(1_000);
    assert.deepEqual(toldOf(), ['revoked 0', 'assigned 0 in 4']);
    await clock.advance(1_000);
    assert.deepEqual(toldOf().at(-1), 'revoked 1');
  });

  test('tells the store that it has given up an unwanted partition only when that is done, and beats meanwhile', async () => {
    const done = Promise.withResolvers<void>();
    replies = [reply(1, held(1, 0, 1)), reply(1, held(1, 0, 1), [1])];
    await join(undefined, () => done.promise);
    await clock.advance(3_000);
    assert.equal(beats.length, 4);
    assert.ok(beats.every(({ released }) => released.length === 0));
    assert.deepEqual(toldOf(), ['assigned 0,1 in 1', 'revoked 1']);
    replies = [reply(2, held(1, 0))];
    done.resolve();
    await clock.settle();
    await clock.advance(0);
    assert.deepEqual(beats.at(-1)?.released, held(1, 1));
    await clock.advance(1_000);
    assert.equal(toldOf().length, 2, 'it is not assigned or revoked again');
  });

  test('gives up everything when its lease ends, and gets it again if nobody else had it', async () => {
    const down = async () => Promise.reject(new Error('the store is down'));
    replies = [reply(1, held(1, 0)), down];
    await join();
    told = [];
    await clock.advance(4_900);
    assert.deepEqual(new Set(told), new Set(['failed: the store is down']));
    await clock.advance(200);
    assert.ok(told.includes('revoked 0'));
    replies = [reply(1, held(1, 0))];
    told = [];
    await clock.advance(1_000);
    assert.deepEqual(told, ['assigned 0 in 1', 'ok']);
  });

  test('does not believe a reply that arrives after the end of the lease', async () => {
    const late = Promise.withResolvers<HeartbeatReply>();
    replies = [() => late.promise];
    const joining = assert.rejects(join(), /no answer|had ended/);
    await clock.advance(6_000);
    late.resolve({ generation: 1, held: held(1, 0), unwanted: [] });
    await joining;
    assert.deepEqual(toldOf(), []);
    // A process that was stopped runs no timers meanwhile.
    const stopped = new ManualClock();
    replies = [
      async () => {
        Object.assign(stopped, { elapsed: () => 6_000 });
        return { generation: 1, held: held(1, 0), unwanted: [] };
      },
    ];
    clock = stopped;
    await assert.rejects(join(), /had ended when the reply arrived/);
    assert.deepEqual(toldOf(), []);
  });

  test('joins under the same name after a join that failed: it may have taken effect', async () => {
    replies = [async () => Promise.reject(new Error('lost')), reply(1, held(1, 0))];
    const of = membership();
    await assert.rejects(join(of), /lost/);
    await join(of);
    await join(of);
    assert.deepEqual(
      beats.map(({ member }) => member),
      ['member-0', 'member-0', 'member-1'],
    );
  });

  test('leaves only when it has given up everything, also what it was giving up before', async () => {
    const done = Promise.withResolvers<void>();
    let hasLeft = false;
    leave = async () => {
      hasLeft = true;
    };
    replies = [reply(1, held(1, 0)), reply(1, held(1, 0), [0])];
    const joined = await join(undefined, () => done.promise);
    await clock.advance(1_000);
    const leaving = joined.leave();
    await clock.advance(500);
    assert.equal(hasLeft, false);
    done.resolve();
    await leaving;
    assert.equal(hasLeft, true);
  });

  test('a leave ends also when the store does not respond, and nothing is told after it', async () => {
    replies = [reply(1, held(1, 0)), () => new Promise(() => {})];
    leave = () => new Promise(() => {});
    const joined = await join();
    await clock.advance(1_500);
    let hasLeft = false;
    void joined.leave().then(() => {
      hasLeft = true;
    });
    await clock.advance(2_100);
    assert.equal(hasLeft, true);
    assert.deepEqual(toldOf(), ['assigned 0 in 1', 'revoked 0']);
    const count = beats.length;
    await clock.advance(10_000);
    assert.equal(beats.length, count);
  });
});
