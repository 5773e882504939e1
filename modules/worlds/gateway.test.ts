import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ClientFrame, type PlayerId, type ServerFrame, WORLD_PROTOCOL, type ZoneId } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import type { Connection } from './connection.ts';
import { Gateway } from './gateway.ts';
import type { HostPort, ToZoneHost } from './messages.ts';
import { decodeBody, encodeFrame } from './wire.ts';

const ZONES = ['0-0', '1-0', '2-0'] as ZoneId[];
const kim = 'p-kim' as PlayerId;

/** A gateway of three zones, whose hosts answer what a test says they answer. */
class SmallWorld {
  readonly clock = new ManualClock();
  readonly gateway: Gateway;
  readonly sent: ToZoneHost[] = [];
  readonly #hosts = new Map<ZoneId, HostPort>();

  constructor() {
    let secrets = 0;
    this.gateway = new Gateway({
      clock: this.clock,
      zones: ZONES,
      limits: {
        commandsPerSecond: 100,
        commandsBurst: 100,
        framesPerSecond: 100,
        connectionsMax: 10,
        connectionsPerAddress: 10,
        limitLoopback: false,
        lingerMs: 5_000,
      },
      verify: async (token) => ({ player: token as PlayerId, name: token, user: null }),
      mayPlay: async () => true,
      secret: () => `secret-${++secrets}`,
      busy: () => 0,
    });
    for (const zone of ZONES) {
      const host: HostPort = { id: `host of ${zone}`, send: (message) => this.sent.push(message) };
      this.#hosts.set(zone, host);
      this.gateway.placed(zone, host);
      this.gateway.received(host, { type: 'census', zone, players: [], between: [] });
    }
  }

  hostOf(zone: ZoneId): HostPort {
    return this.#hosts.get(zone) as HostPort;
  }

  /** A client connects with a player’s token and joins. */
  async join(player: PlayerId): Promise<{ connection: Connection; told: ServerFrame[] }> {
    const told: ServerFrame[] = [];
    const connection = this.gateway.connect({
      send: (frame) => told.push(decodeBody(frame.subarray(4)) as ServerFrame),
      backlog: () => 0,
      end: () => {},
      remote: '127.0.0.1',
    }) as Connection;
    const say = (frame: ClientFrame) => connection.receive(encodeFrame(frame as never));
    say({ t: 'hello', v: WORLD_PROTOCOL, token: player });
    await this.clock.advance(0);
    say({ t: 'join', n: 1 });
    return { connection, told };
  }

  /** What was asked of zones since the last time: each `enter`. */
  enters(): (ToZoneHost & { type: 'enter' })[] {
    return this.sent.splice(0).filter((message) => message.type === 'enter');
  }

  answer(enter: ToZoneHost & { type: 'enter' }, code: string | null = null): void {
    const { handle, zone, player } = enter;
    const host = this.hostOf(zone);
    if (code === null) this.gateway.received(host, { type: 'entered', handle, zone, player, frames: [] });
    else this.gateway.received(host, { type: 'left', handle, zone, code });
  }

  /** Every zone says where a player is that is looked for. */
  async locate(found: (zone: ZoneId) => 'here' | 'between' | 'nowhere'): Promise<number> {
    const questions = this.sent.splice(0).filter((message) => message.type === 'question');
    for (const { ask, question } of questions)
      this.gateway.received(this.hostOf(question.zone), { type: 'answer', ask, answer: { found: found(question.zone) } });
    await this.clock.advance(0);
    return questions.length;
  }
}

describe('fault 41: a player is sent to one zone only', () => {
  test('when another connection joins before the zone has answered the first', async () => {
    const world = new SmallWorld();
    await world.join(kim);
    const [first] = world.enters();
    await world.join(kim);
    const [second] = world.enters();
    assert.ok(first && second);
    assert.deepEqual([second.zone, second.isNew], [first.zone, true], 'the zone may not have let it in');
    assert.notEqual(second.session, first.session);
  });

  test('when the answer comes after its connection was replaced', async () => {
    const world = new SmallWorld();
    const before = await world.join(kim);
    const [first] = world.enters();
    assert.ok(first);
    before.connection.closed();
    await world.clock.advance(10_000);
    world.answer(first);
    assert.equal(world.gateway.zoneOf(kim), first.zone);
    world.enters();
    await world.join(kim);
    const [second] = world.enters();
    assert.deepEqual([second?.zone, second?.isNew], [first.zone, false]);
  });

  test('when it is not where it was believed to be, and another connection joins while it is looked for', async () => {
    const world = new SmallWorld();
    await world.join(kim);
    const [first] = world.enters();
    assert.ok(first);
    world.answer(first);
    await world.join(kim);
    const [again] = world.enters();
    assert.ok(again);
    world.answer(again, 'NOT_HERE');
    await world.join(kim);
    assert.deepEqual(world.enters(), [], 'it is looked for, too');
  });

  test('when a zone that refused it may have let it in since: it is looked for before it is sent elsewhere', async () => {
    const world = new SmallWorld();
    await world.join(kim);
    const [first] = world.enters();
    assert.ok(first);
    world.answer(first, 'ZONE_FULL');
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

test('a newcomer that its zone had no room for goes where there is room', async () => {
  const world = new SmallWorld();
  await world.join(kim);
  const [first] = world.enters();
  assert.ok(first);
  world.answer(first, 'ZONE_FULL');
  await world.join(kim);
  assert.equal(await world.locate(() => 'nowhere'), 3);
  const [second] = world.enters();
  assert.equal(second?.isNew, true);
});
