import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WORLD_PROTOCOL, type ZoneId } from '@millrace/contracts';
import { kim, SmallWorld, ZONES } from './testing/small-world.ts';

describe('fault 41: a player is sent to one zone only', () => {
  test('when another connection joins before the zone has replied to the first', async () => {
    const world = new SmallWorld();
    await world.join(kim);
    const [first] = world.enters();
    await world.join(kim);
    const [second] = world.enters();
    assert.ok(first && second);
    assert.deepEqual([second.zone, second.isNew], [first.zone, true], 'the zone may not have let it in');
    assert.notEqual(second.session, first.session);
  });

  test('when the reply arrives after its connection was replaced', async () => {
    const world = new SmallWorld();
    const before = await world.join(kim);
    const [first] = world.enters();
    assert.ok(first);
    before.connection.closed();
    await world.clock.advance(10_000);
    world.reply(first);
    assert.equal(world.gateway.zoneOf(kim), first.zone);
    world.enters();
    await world.join(kim);
    const [second] = world.enters();
    assert.deepEqual([second?.zone, second?.isNew], [first.zone, false]);
  });

  test('when it is not in the expected zone, and another connection joins during the search', async () => {
    const world = new SmallWorld();
    await world.join(kim);
    const [first] = world.enters();
    assert.ok(first);
    world.reply(first);
    await world.join(kim);
    const [again] = world.enters();
    assert.ok(again);
    world.reply(again, 'PLAYER_NOT_IN_ZONE');
    await world.join(kim);
    assert.deepEqual(world.enters(), [], 'it is looked for, too');
  });

  test('when a zone that refused it may have admitted it since: it is searched for before it is sent elsewhere', async () => {
    const world = new SmallWorld();
    await world.join(kim);
    const [first] = world.enters();
    assert.ok(first);
    world.reply(first, 'ZONE_FULL');
    const { connection } = await world.join(kim);
    assert.equal(await world.locate((zone) => (zone === first.zone ? 'between' : 'nowhere')), 3);
    assert.deepEqual(world.enters(), []);
    await world.clock.advance(5_000);
    assert.equal(await world.locate((zone) => (zone === first.zone ? 'here' : 'nowhere')), 3);
    const [second] = world.enters();
    assert.deepEqual([second?.zone, second?.isNew], [first.zone, false]);
    connection.closed();
  });
});

describe('a player whose crossing was under way when its hosts died', () => {
  const [home, next] = ZONES as [ZoneId, ZoneId];

  /** A player that departed from its first zone; then all hosts died. */
  async function departed(): Promise<SmallWorld> {
    const world = new SmallWorld();
    await world.join(kim);
    const [enter] = world.enters();
    assert.ok(enter);
    assert.equal(enter.zone, home);
    world.reply(enter);
    world.gateway.received(world.hostOf(home), { type: 'left', handle: enter.handle, zone: home, n: null, code: 'IN_TRANSIT' });
    for (const zone of ZONES) world.gateway.placed(zone, null);
    return world;
  }

  for (const [where, zone] of [
    ['its first zone, because the departure was not durable', home],
    ['the next zone', next],
  ] as const)
    test(`enters as soon as the zone that has it is open again: ${where}`, async () => {
      const world = await departed();
      await world.clock.advance(600);
      world.open(zone, [kim]);
      const [enter] = world.enters();
      assert.deepEqual([enter?.zone, enter?.isNew], [zone, false]);
    });

  test('is not searched for in vain: while it is on its way it waits for the confirmation', async () => {
    const world = await departed();
    world.open(home, [], [kim]);
    assert.deepEqual(world.enters(), []);
    world.gateway.received(world.hostOf(next), { type: 'arrived', zone: next, player: kim, session: '' });
    assert.deepEqual(world.enters(), [], 'the zone has no host yet');
    world.open(next, [kim]);
    assert.deepEqual(
      world.enters().map(({ zone }) => zone),
      [next],
    );
  });

  test('enters the zone that reports it during the search, and is not sent elsewhere by the replies', async () => {
    const world = await departed();
    for (const zone of [home, next]) world.open(zone, []);
    await world.clock.advance(3_500);
    assert.deepEqual(world.enters(), []);
    const [, , last] = ZONES as [ZoneId, ZoneId, ZoneId];
    world.open(last, [kim]);
    const [enter] = world.enters();
    assert.equal(enter?.zone, last);
    await world.locate(() => 'nowhere');
    assert.deepEqual(world.enters(), []);
  });
});

test('a player whose session ended during its crossing falls asleep when it arrives', async () => {
  const [home, next] = ZONES as [ZoneId, ZoneId];
  for (const again of [false, true]) {
    const world = new SmallWorld();
    const { connection } = await world.join(kim);
    const [enter] = world.enters();
    assert.equal(enter?.zone, home);
    world.reply(enter);
    world.gateway.received(world.hostOf(home), { type: 'left', handle: enter.handle, zone: home, n: null, code: 'IN_TRANSIT' });
    connection.closed();
    await world.clock.advance(6_000);
    assert.equal(world.gateway.sessionOf(kim), undefined);
    // Its next session has not joined yet.
    if (again) world.connect().say({ t: 'hello', v: WORLD_PROTOCOL, token: kim });
    await world.clock.advance(0);
    world.sent.splice(0);
    world.gateway.received(world.hostOf(next), { type: 'arrived', zone: next, player: kim, session: enter.session });
    const commands = world.sent.flatMap((message) => (message.type === 'deliver' ? [message.command] : []));
    assert.deepEqual(commands, [{ type: 'LeaveZone', player: kim, session: enter.session, reason: 'lost' }]);
  }
});

describe('a search that a zone could not reply to', () => {
  test('begins again soon after that zone was opened by another host', async () => {
    const world = new SmallWorld();
    const [home, , last] = ZONES as [ZoneId, ZoneId, ZoneId];
    await world.join(kim);
    const [enter] = world.enters();
    assert.ok(enter);
    world.reply(enter, 'PLAYER_NOT_IN_ZONE');
    const questions = world.sent.splice(0).filter((message) => message.type === 'question');
    for (const { ask, question } of questions)
      if (question.zone !== last)
        world.gateway.received(world.hostOf(question.zone), { type: 'answer', ask, answer: { found: 'nowhere' } });
    world.gateway.placed(last, null);
    await world.clock.advance(250);
    world.gateway.placed(last, world.hostOf(last));
    await world.clock.advance(750);
    assert.equal(await world.locate((zone) => (zone === home ? 'here' : 'nowhere')), 3);
    assert.equal(world.enters().at(-1)?.zone, home);
  });
});
