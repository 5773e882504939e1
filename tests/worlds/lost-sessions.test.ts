import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PlayerId, ZoneId } from '@millrace/contracts';
import { zoneAddress } from '@millrace/kernel';
import { worldZone } from '@millrace/worlds';
import { type MemoryWorld, openMemoryWorld } from './world-in-memory.ts';

/*
 * Rule: a player is awake only while a session plays it. A session that has ended or left is attached to no zone, and one that plays has an awake player.
 */

const kim = 'p-kim' as PlayerId;
const zone = '0-0' as ZoneId;

async function minutes(world: MemoryWorld, count: number): Promise<void> {
  for (let seconds = 0; seconds < count * 60; seconds++) await world.clock.advance(1_000);
}

describe('a player falls asleep', () => {
  test('when another connection replaces its session and does not join', async () => {
    const world = await openMemoryWorld();
    const first = await world.join(kim);
    const second = world.connect();
    second.say({ t: 'hello', v: 1, token: kim });
    await world.clock.advance(100);
    assert.equal(first.newest('bye')?.code, 'REPLACED');
    assert.equal(world.state().awake, 0);
    second.say({ t: 'join', n: 1 });
    await world.clock.advance(300);
    assert.equal(second.newest('zone')?.you.id, kim);
    assert.equal(world.state().awake, 1);
  });

  test('when its session is replaced before the zone has attached it', async () => {
    const world = await openMemoryWorld();
    const first = world.connect();
    first.say({ t: 'hello', v: 1, token: kim });
    await world.clock.advance(10);
    world.link.lateMs = 300;
    first.say({ t: 'join', n: 1 });
    world.connect().say({ t: 'hello', v: 1, token: kim });
    await world.clock.advance(2_000);
    assert.deepEqual([world.gateway.stats().playing, world.state().awake], [0, 0]);
  });

  test('when its session has left, although an earlier request to enter arrives after that', async () => {
    const world = await openMemoryWorld();
    const client = await world.join(kim);
    // The retry of the gateway overtakes the reply to `leave`.
    world.link.lateMs = 260;
    client.say({ t: 'leave', n: 2 }, { t: 'say', n: 3, text: 'x' });
    await world.clock.advance(300);
    world.link.lateMs = 0;
    await world.clock.advance(2_000);
    assert.deepEqual([world.gateway.stats().playing, world.state().awake], [0, 0]);
    client.say({ t: 'join', n: 4 });
    await world.clock.advance(2_000);
    assert.deepEqual([world.gateway.stats().playing, world.state().awake], [1, 1]);
  });

  test('when its session has ended, although the zone attached it at the last moment', async () => {
    const world = await openMemoryWorld();
    const enter = { type: 'enter', handle: 1, zone, player: kim, name: 'Kim', session: 'ended', n: null, isNew: true } as const;
    world.host.receive(enter);
    await world.clock.advance(1_000);
    assert.equal(world.state().awake, 0);
  });
});

describe('a player falls asleep although no `leave` of its session arrives', () => {
  /** Ends the session of a player: its connection is lost for long, or another session replaces it and ends as well. */
  async function end(world: MemoryWorld, how: 'lost' | 'replaced', end: () => void): Promise<void> {
    if (how === 'replaced') {
      const second = world.connect();
      second.say({ t: 'hello', v: 1, token: kim });
      await world.clock.advance(1_000);
      second.cut();
    } else end();
    await world.clock.advance(6_000);
    assert.deepEqual([world.gateway.stats().sessions, world.state().awake], [0, 1]);
  }

  for (const how of ['lost', 'replaced'] as const) {
    test(`because the network loses it: ${how}`, async () => {
      const world = await openMemoryWorld();
      const client = await world.join(kim);
      world.link.loses = ({ type }) => type === 'leave' || type === 'ended';
      await end(world, how, client.cut);
      world.link.loses = () => false;
      await world.clock.advance(5_000);
      assert.equal(world.state().awake, 0);
    });

    test(`because the gateway had no host of the zone: ${how}`, async () => {
      const world = await openMemoryWorld();
      const client = await world.join(kim);
      world.link.loses = ({ type }) => type === 'ended';
      world.gateway.placed(zone, null);
      await end(world, how, client.cut);
      world.link.loses = () => false;
      world.gateway.placed(zone, world.port);
      await world.clock.advance(5_000);
      assert.equal(world.state().awake, 0);
    });
  }

  test('but not while its session exists', async () => {
    const world = await openMemoryWorld();
    await world.join(kim);
    const asleep: string[] = [];
    world.link.loses = ({ type }) => type === 'ended' && asleep.push(type) > 0;
    await world.clock.advance(20_000);
    assert.deepEqual([asleep, world.state().awake], [[], 1]);
  });
});

describe('a session that plays', () => {
  /** A player with a connection whose client resumes just now; its handle. */
  async function resumed(world: MemoryWorld) {
    const before = await world.join(kim);
    before.cut();
    await world.clock.advance(10);
    const session = world.gateway.sessionOf(kim);
    assert.ok(session);
    const client = world.connect();
    return { client, session, resume: () => client.say({ t: 'hello', v: 1, resume: before.newest('welcome')?.resume ?? '' }) };
  }

  for (const [when, delayMs] of [
    ['in the same turn', 0],
    ['after it was attached', 1_000],
  ] as const)
    test(`has an awake player again when the player falls asleep ${when}`, async () => {
      const world = await openMemoryWorld();
      const { client, session, resume } = await resumed(world);
      resume();
      await world.clock.advance(delayMs);
      const { handle, id } = session;
      if (delayMs === 0) world.host.receive({ type: 'enter', handle, zone, player: kim, name: 'Kim', session: id, n: null, isNew: false });
      world.zones.send(zoneAddress(worldZone.kind, zone), { type: 'LeaveZone', player: kim, session: id, reason: 'lost' });
      await world.clock.advance(1_000);
      client.say({ t: 'say', n: 9, text: 'hi' });
      await world.clock.advance(1_000);
      assert.equal(client.newest('ok')?.n, 9);
      assert.equal(world.state().awake, 1);
      client.cut();
      await minutes(world, 1);
      assert.deepEqual([world.gateway.stats().sessions, world.state().awake], [0, 0]);
    });
});

describe('the gateway forgets the location of a player that its zone has forgotten', () => {
  /** A player that has left the world and is in no zone any more, with a message that its zone has forgotten it. */
  async function forgotten() {
    const world = await openMemoryWorld({ lingerMs: 1_000 });
    const client = await world.join(kim);
    client.say({ t: 'leave', n: 2 });
    await world.clock.advance(100);
    /** The log stores the event now; after an outage, that is long after the zone has decided it. */
    const record = () => {
      const events = [{ type: 'PlayerForgotten', player: kim }];
      world.host.hooks.onDurable?.({ zone: zoneAddress(worldZone.kind, zone), epoch: 1, firstSeq: 1, time: 0, events } as never);
    };
    const remove = () => {
      delete world.state().players[kim];
      delete world.state().newcomers[kim];
    };
    return { world, client, record, remove };
  }

  test('once no session has it', async () => {
    const { world, client, record, remove } = await forgotten();
    remove();
    record();
    await world.clock.advance(100);
    assert.equal(world.gateway.zoneOf(kim), zone);
    client.cut();
    await world.clock.advance(5_000);
    record();
    await world.clock.advance(100);
    assert.equal(world.gateway.zoneOf(kim), undefined);
  });

  test('but not if the zone has it again when the log stores that', async () => {
    const { world, client, record } = await forgotten();
    client.cut();
    await world.clock.advance(5_000);
    record();
    await world.clock.advance(100);
    assert.equal(world.gateway.zoneOf(kim), zone);
  });

  test('but not if the zone has a request to admit it again', async () => {
    const { world, client, record, remove } = await forgotten();
    client.cut();
    await world.clock.advance(5_000);
    remove();
    world.host.receive({ type: 'enter', handle: 9, zone, player: kim, name: 'Kim', session: 'later', n: null, isNew: true });
    record();
    await world.clock.advance(100);
    assert.equal(world.gateway.zoneOf(kim), zone);
    assert.ok(world.state().players[kim]);
  });

  test('but not if it is on the way from that zone', async () => {
    const { world, client, record, remove } = await forgotten();
    client.cut();
    await world.clock.advance(5_000);
    const player = world.state().players[kim];
    assert.ok(player);
    remove();
    world.state().departures[kim] = { number: 1, from: zone, to: '1-0' as ZoneId, player } as never;
    record();
    await world.clock.advance(100);
    assert.equal(world.gateway.zoneOf(kim), zone);
  });
});
