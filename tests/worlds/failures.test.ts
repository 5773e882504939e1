import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientFrame, PlayerId } from '@millrace/contracts';
import { type MemoryClient, type MemoryWorld, openMemoryWorld } from './world-in-memory.ts';

/*
 * Law: the failures that a gateway counts, which raise the alert `errors`, are no fault of a player, whatever a client sends.
 */

const bad = 'p-bad' as PlayerId;

const move = ({ newest }: MemoryClient, n: number): ClientFrame => {
  const { x, y } = newest('zone')?.you ?? { x: 0, y: 0 };
  return { t: 'move', n, x, y };
};

const ATTACKS: Readonly<Record<string, (world: MemoryWorld) => Promise<void>>> = {
  'numbers that are far apart': async (world) => {
    const client = await world.join(bad);
    client.say(...Array.from({ length: 20 }, (_none, index) => move(client, 100 * (index + 1))));
    await world.clock.advance(1_000);
    assert.equal(client.newest('refused')?.code, 'BUSY');
  },
  'commands before the reply to a join': async (world) => {
    const client = world.connect();
    client.say({ t: 'hello', v: 1, token: bad });
    await world.clock.advance(10);
    client.say({ t: 'join', n: 1 }, { t: 'leave', n: 2 }, ...Array.from({ length: 20 }, (_none, index) => move(client, index + 3)));
    await world.clock.advance(1_000);
    assert.equal(client.newest('refused')?.code, 'ZONE_MOVING');
  },
  'invented commands in the report of a resumed connection': async (world) => {
    const client = await world.join(bad);
    client.cut();
    const resumed = world.connect();
    const unanswered = Array.from({ length: 20 }, (_none, index) => index + 2);
    resumed.say({ t: 'hello', v: 1, resume: client.newest('welcome')?.resume ?? '', unanswered });
    await world.clock.advance(1_000);
    assert.equal(resumed.newest('refused')?.code, 'LOST');
  },
};

for (const [attack, run] of Object.entries(ATTACKS))
  test(`a client with ${attack} causes no failures`, async () => {
    const world = await openMemoryWorld();
    world.gateway.takeFailures();
    await run(world);
    assert.equal(world.gateway.takeFailures().failed, 0);
  });
