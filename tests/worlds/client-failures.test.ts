import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CommandAnswer, type TransportEvents, WorldClient, type WorldEvents } from '@millrace/client/world';
import { ACCEPTED_WINDOW, type PlayerId, type ZoneId } from '@millrace/contracts';
import { pack } from 'msgpackr';
import { MemoryLink, runTimersOn } from './memory-link.ts';
import { openMemoryWorld } from './world-in-memory.ts';

/*
 * The world client with the real gateway, host and zones, when the network or the server fails. client-histories.test.ts has the law.
 */

type Mock = Parameters<typeof runTimersOn>[0];
const kim = 'p-kim' as PlayerId;
const zone = '0-0' as ZoneId;

/** A client that has joined, unless `joins` is false. */
async function open(mock: Mock, { joins = true, ...events }: WorldEvents & { joins?: boolean } = {}) {
  const world = await openMemoryWorld();
  runTimersOn(mock, () => world.clock);
  const link = new MemoryLink(world);
  const client = new WorldClient({ connect: link.connect, token: kim, ...events });
  /** The result of a command; `pending` while it has none. */
  const after = async (promise: Promise<CommandAnswer>, ms: number): Promise<string> => {
    let result = 'pending';
    void promise.then((answer) => {
      result = answer.ok ? 'ok' : answer.code;
    });
    await world.clock.advance(ms);
    return result;
  };
  if (joins) assert.equal(await after(client.join(), 500), 'ok');
  return { world, link, client, after };
}

describe('a silent network', () => {
  test('counts as lost after three heartbeats: the client connects again, and its command has a result', async ({ mock }) => {
    const states: string[] = [];
    const { link, client, after } = await open(mock, { onState: (state) => states.push(state) });
    link.silence('both');
    assert.equal(await after(client.say('hi'), 60_000), 'LOST');
    assert.deepEqual(states, ['online', 'joined', 'connecting', 'online', 'joined']);
  });

  test('before the welcome counts as lost, too', async ({ mock }) => {
    const world = await openMemoryWorld();
    runTimersOn(mock, () => world.clock);
    let attempts = 0;
    const client = new WorldClient({ connect: () => ({ send: () => {}, close: () => void attempts++ }), token: kim });
    await world.clock.advance(45_000);
    assert.ok(attempts >= 3);
    client.close();
  });
});

describe('a client', () => {
  test('joins again after it has left', async ({ mock }) => {
    const { client, after, world } = await open(mock);
    assert.equal(await after(client.leave(), 500), 'ok');
    assert.deepEqual([client.state, client.you, client.zone, client.objects.size, world.state().awake], ['online', null, null, 0, 0]);
    assert.equal(await after(client.join(), 500), 'ok');
    assert.deepEqual([client.state, world.state().awake], ['joined', 1]);
  });

  test('that has left joins while it reconnects', async ({ mock }) => {
    const { client, link, after } = await open(mock);
    await after(client.leave(), 500);
    link.cut();
    assert.equal(await after(client.join(), 2_000), 'ok');
    assert.equal(client.state, 'joined');
  });

  test('whose leave is lost with its session has left', async ({ mock }) => {
    const { client, link, after } = await open(mock);
    const leave = client.leave();
    link.isReachable = false;
    link.cut();
    await after(leave, 10_000);
    link.isReachable = true;
    assert.equal(await after(leave, 10_000), 'OUTCOME_UNKNOWN');
    assert.deepEqual([client.state, client.zone], ['online', null]);
  });

  test('that leaves before it has joined leaves as soon as it has', async ({ mock }) => {
    const { client, after, world } = await open(mock, { joins: false });
    const join = client.join();
    assert.equal(await after(client.leave(), 500), 'NOT_JOINED');
    assert.equal(await after(join, 500), 'NOT_JOINED');
    assert.deepEqual([client.state, world.state().awake], ['online', 0]);
  });

  test('that has ended gives each further call a result', async ({ mock }) => {
    const { client, after } = await open(mock);
    client.close();
    assert.equal(await after(client.join(), 0), 'CLOSED');
    assert.equal(await after(client.say('hi'), 0), 'NOT_JOINED');
  });

  test('refuses commands whose outcome the server could not report: none is wrongly reported as lost', async ({ mock }) => {
    const { world, client, link, after } = await open(mock);
    const { x, y } = client.you ?? { x: 0, y: 0 };
    link.silence('from the server');
    const results: string[] = [];
    for (let step = 0; step < 60; step++)
      void client.move(x, y + (step % 2)).then((result) => results.push(result.ok ? 'ok' : result.code));
    await world.clock.advance(100);
    client.drop();
    await world.clock.advance(2_000);
    const accepted = ACCEPTED_WINDOW + 1;
    assert.deepEqual(results.sort(), [...Array(60 - accepted).fill('BUSY'), ...Array(accepted).fill('ok')]);
    assert.equal(await after(client.move(x, y), 500), 'ok');
  });

  test('keeps the position of the server when a reply to an earlier move was lost', async ({ mock }) => {
    const { world, client, link, after } = await open(mock);
    const { x, y } = client.you ?? { x: 0, y: 0 };
    // A server that replies to nothing: the `zone` frame alone has the outcome.
    link.edit = (frame, body) => (frame.t === 'ok' || frame.t === 'refused' ? null : body);
    const move = client.move(x, y + 1);
    await world.clock.advance(50);
    link.cut();
    const fields = { x: x + 1, y };
    void world.gateway.command(zone, { type: 'EditPlayer', player: kim, component: 'position', fields, operator: 'u', reason: 'r' }, {});
    assert.equal(await after(move, 2_000), 'ok');
    assert.deepEqual([client.you?.x, client.you?.y], [x + 1, y]);
  });

  test('connects again after a frame that it cannot decode', async ({ mock }) => {
    const { client, link, after } = await open(mock);
    link.edit = () => Uint8Array.of(0x81);
    await after(client.say('hi'), 100);
    link.edit = (_frame, body) => body;
    assert.equal(await after(client.join(), 2_000), 'ok');
    assert.equal(link.of('welcome').length, 2);
  });
});

describe('a client that joins again after a reconnect', () => {
  /** The session of a client has ended, and its zone is full when the client returns. */
  async function refused(mock: Mock) {
    const opened = await open(mock);
    const { world, link, client } = opened;
    link.isReachable = false;
    link.cut();
    await world.clock.advance(12_000);
    world.state().awake = 2_000;
    link.isReachable = true;
    await world.clock.advance(12_000);
    assert.equal(client.state, 'online');
    const joins = () => link.sent.filter(({ t }) => t === 'join').length;
    const makeRoom = () => {
      world.state().awake = 0;
    };
    return { ...opened, joins, makeRoom };
  }

  test('repeats a join that the zone has refused, ever more seldom', async ({ mock }) => {
    const { world, client, joins, makeRoom } = await refused(mock);
    await world.clock.advance(120_000);
    assert.ok(joins() >= 10 && joins() <= 40, `${joins()} joins`);
    makeRoom();
    await world.clock.advance(20_000);
    assert.deepEqual([client.state, world.state().awake], ['joined', 1]);
  });

  test('reports the refusal to a call of join, and goes on', async ({ mock }) => {
    const { world, client, after, makeRoom } = await refused(mock);
    assert.equal(await after(client.join(), 400), 'ZONE_FULL');
    makeRoom();
    await world.clock.advance(20_000);
    assert.equal(client.state, 'joined');
  });

  for (const how of ['leave', 'close'] as const)
    test(`stops with ${how}`, async ({ mock }) => {
      const { world, client, joins, makeRoom } = await refused(mock);
      const before = joins();
      void client[how]();
      makeRoom();
      await world.clock.advance(120_000);
      assert.deepEqual([joins(), world.state().awake], [before, 0]);
    });
});

test('a client that has never been in the world does not repeat a join that was refused', async ({ mock }) => {
  const { world, client, after } = await open(mock, { joins: false });
  world.state().awake = 2_000;
  assert.equal(await after(client.join(), 500), 'ZONE_FULL');
  world.state().awake = 0;
  await world.clock.advance(60_000);
  assert.equal(client.state, 'online');
  assert.equal(await after(client.join(), 500), 'ok');
});

test('no callback is called after onEnd', async ({ mock }) => {
  for (const last of ['online', 'joined'] as const) {
    const calls: string[] = [];
    const record = (name: string) => () => void calls.push(name);
    const callbacks = { onZone: record('zone'), onSight: record('sight'), onNoticesMissed: record('missed'), onEnd: record('end') };
    const opened = await open(mock, {
      joins: false,
      ...callbacks,
      onState: (state) => {
        calls.push(state);
        // At the second time, the session is another one, and notices were missed.
        if (state === last && calls.filter((call) => call === last).length === 2) opened.client.close();
      },
    });
    const { world, link, client } = opened;
    void client.join();
    await world.clock.advance(500);
    link.isReachable = false;
    link.cut();
    await world.clock.advance(12_000);
    link.isReachable = true;
    await world.clock.advance(20_000);
    assert.deepEqual(calls.slice(-3), [last, 'ended', 'end']);
  }
});

test('a session that could not be resumed at once, because the server had too many connections, is resumed later', async ({ mock }) => {
  const world = await openMemoryWorld();
  runTimersOn(mock, () => world.clock);
  const link = new MemoryLink(world);
  let isFull = false;
  const connect = (events: TransportEvents) => {
    if (!isFull) return link.connect(events);
    isFull = false;
    world.clock.after(1, () => {
      events.onBody(pack({ t: 'bye', code: 'TOO_MANY_CONNECTIONS', message: '' }));
      events.onClose();
    });
    return { send: () => {}, close: () => {} };
  };
  const client = new WorldClient({ connect, token: kim });
  void client.join();
  await world.clock.advance(500);
  isFull = true;
  link.cut();
  await world.clock.advance(2_000);
  assert.deepEqual(
    link.of('welcome').map(({ resumed }) => resumed),
    [false, true],
  );
  assert.equal(client.state, 'joined');
});

describe('missed notices are reported', () => {
  async function missed(mock: Mock, announcements: number, awayMs: number): Promise<[missed: number, notices: number]> {
    let [gaps, notices] = [0, 0];
    const { world, link } = await open(mock, { onNoticesMissed: () => gaps++, onNotice: () => notices++ });
    link.isReachable = false;
    link.cut();
    for (let count = 0; count < announcements; count++)
      void world.gateway.command(zone, { type: 'Announce', text: `${count}`, operator: 'u' }, {});
    await world.clock.advance(awayMs);
    link.isReachable = true;
    await world.clock.advance(10_000);
    return [gaps, notices];
  }

  test('when the server keeps them no longer', async ({ mock }) => assert.deepEqual(await missed(mock, 70, 100), [1, 64]));
  test('when the session has ended', async ({ mock }) => assert.deepEqual(await missed(mock, 1, 10_000), [1, 0]));
  test('not when they are sent again', async ({ mock }) => assert.deepEqual(await missed(mock, 3, 100), [0, 3]));
});

test('an exception of a callback is reported as uncaught, and changes nothing', async ({ mock }) => {
  const uncaught: (() => void)[] = [];
  const throws = () => {
    throw new Error('of the application');
  };
  const world = await openMemoryWorld();
  runTimersOn(mock, () => world.clock);
  const link = new MemoryLink(world);
  const client = new WorldClient({ connect: link.connect, token: kim, onZone: throws, onSight: throws, onState: throws });
  mock.method(globalThis, 'queueMicrotask', (callback: () => void) => uncaught.push(callback));
  const join = client.join();
  await world.clock.advance(500);
  assert.deepEqual(await join, { ok: true });
  assert.equal(link.of('welcome').length, 1);
  assert.equal(client.objects.size, 1);
  assert.ok(uncaught.length >= 4);
  assert.throws(uncaught[0] as () => void, /of the application/);
});
