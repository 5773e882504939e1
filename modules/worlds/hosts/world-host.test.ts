import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PlayerId, WorldPlan, ZoneId } from '@millrace/contracts';
import { ZoneHost, zoneAddress } from '@millrace/kernel';
import { ManualClock, MemoryLog, MemorySnapshots, MemorySpools, openNumbers } from '@millrace/kernel/testing';
import type { FromZoneHost } from '../messages.ts';
import type { World } from '../zone/world-state.ts';
import { worldZone } from '../zone/zone.ts';
import { WorldHost } from './world-host.ts';

/*
 * Rule for the messages of a host about sessions: a session whose zone could not admit it, or lost events that it was sent, enters again. A host never
 * releases a session without a message.
 */

const PLAN: WorldPlan = { seed: 7, columns: 1, rows: 1, monsters: 0, items: 0 };
const zone = '0-0' as ZoneId;
const address = zoneAddress(worldZone.kind, zone);
const kim = 'p-kim' as PlayerId;

/** A host of one zone. While `breaks` says so, the zone throws on an event. */
async function openHost(plan = PLAN, log = new MemoryLog()) {
  const clock = new ManualClock();
  const spools = new MemorySpools(0);
  const received: FromZoneHost[] = [];
  const fault = { breaks: (_type: string) => false };
  const world = new WorldHost({ clock, plan, send: (message) => received.push(message) });
  const stores = { log, spools, hot: new MemorySnapshots(), cold: new MemorySnapshots() };
  const host = new ZoneHost({ ...stores, clock, random: openNumbers, ...world.hooks });
  world.run(host, {
    ...worldZone,
    evolve: (state, event) => {
      if (fault.breaks(event.type)) throw new Error('a zone throws');
      worldZone.evolve(state, event);
    },
  });
  const opened = host.open(address);
  await clock.settle();
  await opened;
  world.opened(address);
  await clock.advance(1_000);
  /** Messages about sessions since the last call. */
  const messages = async () => {
    await clock.advance(10);
    return received.splice(0).flatMap((message) => {
      if (message.type === 'reply') return [`${message.code ?? 'ok'} ${message.n}`];
      if (message.type === 'left') return [`left ${message.n} ${message.code}`];
      return message.type === 'entered' || message.type === 'astray' ? [message.type] : [];
    });
  };
  const enter = (n: number | null, session = 'one') =>
    world.receive({ type: 'enter', handle: session === 'one' ? 1 : 2, zone, player: kim, name: 'Kim', session, n, isNew: n !== null });
  const say = (n: number) => world.receive({ type: 'intent', handle: 1, zone, n, intent: { type: 'Say', text: `text ${n}` } });
  const leave = (n: number) => world.receive({ type: 'leave', handle: 1, zone, player: kim, session: 'one', reason: 'left', n });
  return { clock, log, fault, world, host, received, messages, enter, say, leave };
}

describe('a session', () => {
  test('enters, leaves, and gets each message once', async () => {
    const { messages, enter, leave } = await openHost();
    enter(1);
    assert.deepEqual(await messages(), ['entered']);
    leave(2);
    assert.deepEqual(await messages(), ['ok 2', 'left 2 null']);
  });

  test('whose zone fails on its join is refused; one that plays already enters again', async () => {
    const { messages, enter, fault } = await openHost();
    fault.breaks = (type) => type === 'PlayerJoined';
    enter(1);
    assert.deepEqual(await messages(), ['ZONE_MOVING 1', 'left 1 ZONE_FAILED']);
    fault.breaks = () => false;
    enter(2);
    assert.deepEqual(await messages(), ['entered']);
    fault.breaks = (type) => type === 'PlayerWoke';
    enter(null, 'two');
    assert.deepEqual(await messages(), ['astray']);
    fault.breaks = () => false;
    enter(null, 'two');
    // The first message is for the session that it replaces.
    assert.deepEqual(await messages(), ['astray', 'entered']);
  });

  test('whose zone fails on its leave has not left, and enters again', async () => {
    const { messages, enter, leave, fault } = await openHost();
    enter(1);
    await messages();
    fault.breaks = (type) => type === 'PlayerFellAsleep';
    leave(2);
    assert.deepEqual(await messages(), ['astray']);
  });

  test('whose zone fails on another’s command stays, unless events were lost with that', async () => {
    const { clock, messages, enter, say, fault, log, received, world, host } = await openHost();
    enter(1);
    assert.deepEqual(await messages(), ['entered']);
    say(2);
    assert.deepEqual(await messages(), ['ok 2']);
    /** The zone fails on another player. */
    const fail = async () => {
      fault.breaks = (type) => type === 'PlayerJoined';
      world.receive({ type: 'enter', handle: 2, zone, player: 'p-lee' as PlayerId, name: 'Lee', session: 'two', n: 1, isNew: true });
      const sent = await messages();
      fault.breaks = () => false;
      return sent;
    };
    const failed = ['ZONE_MOVING 1', 'left 1 ZONE_FAILED'];
    assert.deepEqual(await fail(), failed);
    await clock.advance(5_000);
    // A recovery from the snapshot reads no earlier event, on which the zone would fail again.
    await host.snapshot(address, 'hot');
    // Nothing is recorded any more: the spool is full.
    log.away = 'the log is unavailable';
    say(3);
    assert.deepEqual(await messages(), ['ok 3']);
    log.away = null;
    assert.deepEqual(await fail(), [...failed, 'astray']);
    enter(null);
    await clock.advance(10);
    const entered = received.find((message) => message.type === 'entered');
    assert.ok(entered);
    assert.deepEqual(entered.accepted, [2]);
  });
});

test('a zone gets the size of the world when it was changed, and keeps its map', async () => {
  const planOf = ({ host }: Awaited<ReturnType<typeof openHost>>) => (host.view(address)?.state as World).plan;
  const before = await openHost();
  assert.deepEqual(planOf(before), PLAN);
  await before.host.flushed();
  const after = await openHost({ ...PLAN, seed: 8, columns: 3, rows: 2 }, before.log);
  assert.deepEqual(planOf(after), { ...PLAN, columns: 3, rows: 2 });
  assert.equal(after.host.view(address)?.seq, 2, 'it is recorded once');
});
