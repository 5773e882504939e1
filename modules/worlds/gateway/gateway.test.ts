import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ClientFrame, WORLD_PROTOCOL, type ZoneId } from '@millrace/contracts';
import type { HostPort } from '../messages.ts';
import { FRAME, kim, SmallWorld, ZONES } from './testing/small-world.ts';
import { encodeFrame } from './wire.ts';

test('a session that is resumed by a connection that closes at once ends after its linger time', async () => {
  const world = new SmallWorld();
  const { connection, received } = await world.join(kim);
  const [first] = world.enters();
  assert.ok(first);
  world.reply(first);
  const resume = received.find((frame) => frame.t === 'welcome')?.resume ?? '';
  connection.closed();
  await world.clock.advance(100);
  const next = world.connect();
  // In one chunk: the second frame comes before the reply to the first one.
  const frames: ClientFrame[] = [
    { t: 'hello', v: WORLD_PROTOCOL, resume },
    { t: 'say', n: 2, text: 'hi' },
  ];
  next.connection.receive(Buffer.concat(frames.map((frame) => encodeFrame(frame as never))));
  await world.clock.advance(0);
  assert.ok(next.connection.isClosed);
  await world.clock.advance(10_000);
  assert.equal(world.gateway.stats().sessions, 0);
  assert.ok(world.sent.some((message) => message.type === 'leave'));
});

test('a newcomer whose zone is full goes to another zone', async () => {
  const world = new SmallWorld();
  await world.join(kim);
  const [first] = world.enters();
  assert.ok(first);
  world.reply(first, 'ZONE_FULL');
  await world.join(kim);
  assert.equal(await world.locate(() => 'nowhere'), 3);
  const [second] = world.enters();
  assert.equal(second?.isNew, true);
});

/** A player who plays in the first zone. */
async function playing() {
  const world = new SmallWorld();
  const client = await world.join(kim);
  const [enter] = world.enters();
  assert.ok(enter);
  world.reply(enter);
  assert.deepEqual(client.replies(), ['ok 1']);
  const { handle } = enter;
  const reply = (n: number, code: string | null = null) => {
    const frame = encodeFrame(code === null ? { t: 'ok', n } : { t: 'refused', n, code, message: '' });
    world.gateway.received(world.hostOf(enter.zone), { type: 'reply', handle, zone: enter.zone, n, code, frame });
  };
  return { world, client, handle, reply };
}

describe('fault 48: each command gets one reply', () => {
  const move = (n: number): ClientFrame => ({ t: 'move', n, x: 1, y: 1 });
  const [first, second] = ZONES as [ZoneId, ZoneId];

  test('that leads over a border, though its zone is another by then', async () => {
    const { world, client, handle, reply } = await playing();
    for (const n of [2, 3, 4]) client.say(move(n));
    reply(2);
    world.gateway.received(world.hostOf(first), { type: 'left', handle, zone: first, n: null, code: 'IN_TRANSIT' });
    reply(3);
    world.gateway.received(world.hostOf(second), { type: 'arrived', zone: second, player: kim, session: '' });
    const [enter] = world.enters();
    assert.ok(enter);
    world.reply(enter, null, [2, 3]);
    reply(3);
    assert.deepEqual(client.replies(), ['ok 1', 'ok 2', 'ok 3', 'LOST 4']);
  });

  test('that was pending when the zone’s host was lost, as the zone reports after its recovery', async () => {
    const { world, client } = await playing();
    for (const n of [2, 3, 4, 5]) client.say(move(n));
    world.gateway.placed(first, null);
    client.say(move(6));
    world.gateway.placed(first, world.hostOf(first));
    const enter = world.enters().at(-1);
    assert.ok(enter);
    // 2 was refused, and 3 was accepted: by the newest number alone both would count as accepted.
    world.reply(enter, null, [3, 4]);
    assert.deepEqual(client.replies(), ['ok 1', 'ZONE_MOVING 6', 'LOST 2', 'ok 3', 'ok 4', 'LOST 5']);
  });

  test('by the host that has the zone: what another decides is never recorded', async () => {
    const { world, client, reply } = await playing();
    client.say(move(2));
    const other: HostPort = { id: 'another host', send: (message) => world.sent.push(message) };
    world.gateway.placed(first, other);
    reply(2);
    const [enter] = world.enters();
    assert.ok(enter);
    const { handle, zone, player } = enter;
    world.gateway.received(other, { type: 'entered', handle, zone, player, session: enter.session, frame: FRAME, accepted: [] });
    assert.deepEqual(client.replies(), ['ok 1', 'LOST 2']);
  });

  test('whose reply was lost with the connection, when the client resumes and lists it', async () => {
    const { client, world, reply } = await playing();
    const welcome = client.received.find((frame) => frame.t === 'welcome');
    for (const n of [2, 3, 4]) client.say(move(n));
    client.connection.closed();
    reply(2);
    reply(3, 'BLOCKED');
    const again = await world.join(kim, { resume: welcome?.resume ?? '', unanswered: [1, 2, 3, 4] });
    const [enter] = world.enters();
    assert.ok(enter);
    world.reply(enter, null, [2, 4]);
    assert.deepEqual(again.replies(), ['ok 1', 'BLOCKED 3', 'ok 2', 'ok 4']);
  });

  test('fault 51: that followed a leave, or whose leave lost its reply on the way', async () => {
    const { world, client, handle, reply } = await playing();
    client.say(move(2));
    client.say({ t: 'leave', n: 3 });
    client.say(move(4));
    reply(2);
    world.gateway.received(world.hostOf(first), { type: 'left', handle, zone: first, n: 3, code: null });
    assert.deepEqual(client.replies(), ['ok 1', 'ok 2', 'ok 3', 'LOST 4']);
  });

  test('fault 51: and a client whose leave had its reply can join again, whatever other messages were lost', async () => {
    const { world, client, reply } = await playing();
    client.say({ t: 'leave', n: 2 });
    reply(2);
    client.say({ t: 'join', n: 3 });
    assert.equal(world.enters().length, 1);
    assert.deepEqual(client.replies(), ['ok 1', 'ok 2']);
  });

  test('fault 51: when the client resumes after it has left the world, and lists it', async () => {
    const { world, client, handle, reply } = await playing();
    const welcome = client.received.find((frame) => frame.t === 'welcome');
    client.say(move(2));
    client.say({ t: 'leave', n: 3 });
    client.connection.closed();
    for (const n of [2, 3]) reply(n);
    world.gateway.received(world.hostOf(first), { type: 'left', handle, zone: first, n: 3, code: null });
    // The server has never received 4.
    const again = await world.join(kim, { resume: welcome?.resume ?? '', unanswered: [2, 3, 4] });
    assert.deepEqual(again.replies(), ['ok 2', 'ok 3', 'LOST 4']);
  });

  test('once: a repeated message for a leave that has its reply does not end the next visit', async () => {
    const { world, client, handle, reply } = await playing();
    client.say({ t: 'leave', n: 2 });
    reply(2);
    client.say({ t: 'join', n: 3 });
    const [enter] = world.enters();
    assert.ok(enter);
    world.gateway.received(world.hostOf(enter.zone), { type: 'left', handle, zone: enter.zone, n: 2, code: null });
    world.reply(enter);
    client.say(move(4));
    assert.deepEqual(client.replies(), ['ok 1', 'ok 2', 'ok 3']);
    assert.ok(world.sent.some((message) => message.type === 'intent' && message.n === 4));
  });

  test('by this server: no handle of an earlier one is reused', async () => {
    const first = await playing();
    await first.world.clock.advance(1_000);
    const second = new SmallWorld(first.world.clock);
    await second.join(kim);
    const [enter] = second.enters();
    assert.ok(enter && enter.handle > first.handle);
  });

  test('whatever happens to its reply: the zone is queried when none arrives', async () => {
    const { world, client } = await playing();
    client.say(move(2));
    await world.clock.advance(6_000);
    const [enter] = world.enters();
    assert.ok(enter);
    world.reply(enter, null, [2]);
    assert.deepEqual(client.replies(), ['ok 1', 'ok 2']);
  });

  test('or refused, when it is too far above a pending one for its outcome to be kept', async () => {
    const { client } = await playing();
    for (const n of [2, 50, 51]) client.say(move(n));
    assert.deepEqual(client.replies(), ['ok 1', 'BUSY 51']);
  });

  test('or refused, when too many are pending, whatever their numbers', async () => {
    const { client } = await playing();
    for (let n = 1_000; n > 940; n--) client.say(move(n));
    assert.deepEqual(client.replies(), ['ok 1', ...Array.from({ length: 11 }, (_none, index) => `BUSY ${951 - index}`)]);
  });
});

describe('a gateway that was suspended for longer than clients may be silent', () => {
  test('reads what arrived meanwhile first: a hello is in time', async () => {
    const world = new SmallWorld();
    await world.clock.advance(1_000);
    const { received, say } = world.connect();
    world.clock.jump(20_000);
    await world.clock.advance(0);
    say({ t: 'hello', v: WORLD_PROTOCOL, token: kim });
    await world.clock.advance(0);
    assert.deepEqual(
      received.map(({ t }) => t),
      ['welcome'],
    );
  });

  test('and a client that resumes has not been disconnected for too long', async () => {
    const { world, client } = await playing();
    const welcome = client.received.find((frame) => frame.t === 'welcome');
    client.connection.closed();
    world.clock.jump(20_000);
    await world.clock.advance(0);
    const again = await world.join(kim, { resume: welcome?.resume ?? '', unanswered: [] });
    assert.ok(again.received.some((frame) => frame.t === 'welcome' && frame.resumed));
  });

  test('and frames sent during the suspension are no flood, although they are read at once', async () => {
    for (const [suspendedMs, last] of [
      [20_000, 'pong'],
      [0, 'bye'],
    ] as const) {
      const world = new SmallWorld();
      const { received, say } = await world.join(kim);
      world.clock.jump(suspendedMs);
      await world.clock.advance(0);
      for (let id = 0; id < 400; id++) say({ t: 'ping', id });
      assert.equal(received.at(-1)?.t, last);
    }
  });

  test('but a client that sends nothing is disconnected', async () => {
    const world = new SmallWorld();
    const { received } = world.connect();
    await world.clock.advance(6_000);
    assert.ok(received.some((frame) => frame.t === 'bye' && frame.code === 'HELLO_REQUIRED'));
  });
});

test('a session that is resumed again and again keeps only the commands that its client reported last', async () => {
  const world = new SmallWorld();
  const client = await world.join(kim);
  const [enter] = world.enters();
  assert.ok(enter);
  world.reply(enter);
  client.say({ t: 'say', n: 2, text: 'one that arrived' });
  const welcome = client.received.find((frame) => frame.t === 'welcome');
  assert.ok(welcome);
  for (const zone of ZONES) world.gateway.placed(zone, null);
  const numbersOf = (resumption: number) => Array.from({ length: 64 }, (_none, index) => 100 * resumption + index);
  let last = client;
  for (let resumption = 1; resumption <= 50; resumption++)
    last = await world.join(kim, { resume: welcome.resume, unanswered: numbersOf(resumption) });
  assert.deepEqual([...(world.gateway.sessionOf(kim)?.unanswered.keys() ?? [])], [2, ...numbersOf(50)]);
  world.open(enter.zone, [kim]);
  const again = world.enters().at(-1);
  assert.ok(again);
  world.reply(again, null, [2, 5_001]);
  assert.deepEqual(last.replies().slice(0, 3), ['ok 2', 'LOST 5000', 'ok 5001']);
  assert.equal(last.replies().length, 65);
});
