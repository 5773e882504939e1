import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MemoryClient, type MemoryWorld, openMemoryWorld } from './world-in-memory.ts';

/*
 * Rule: a player with a connection that is not slow gets updates.
 */

/** Another player takes a step; returns the number of updates and views that the client gets of it. */
async function updatesOf(world: MemoryWorld, client: MemoryClient, other: MemoryClient, n: number): Promise<number> {
  const before = client.received.length;
  const { x, y } = world.state().players['p-other']?.position ?? { x: 0, y: 0 };
  other.say({ t: 'move', n, x: x + (n % 2 ? 1 : -1), y });
  await world.clock.advance(1_000);
  return client.received.slice(before).filter(({ t }) => t === 'update' || t === 'view').length;
}

test('a client that resumes before the zone has reported its attachment gets updates', async () => {
  const world = await openMemoryWorld({ lingerMs: 30_000 });
  const other = await world.join('p-other');
  const first = world.connect();
  first.say({ t: 'hello', v: 1, token: 'p-kim' });
  await world.clock.advance(10);
  world.link.lateMs = 260;
  first.say({ t: 'join', n: 1 });
  await world.clock.advance(100);
  first.cut();
  await world.clock.advance(20);
  const client = world.connect();
  client.say({ t: 'hello', v: 1, resume: first.newest('welcome')?.resume ?? '' });
  await world.clock.advance(300);
  world.link.lateMs = 0;
  await world.clock.advance(1_000);
  assert.ok(client.newest('zone'));
  for (const n of [2, 3, 4]) assert.ok((await updatesOf(world, client, other, n)) > 0);
});

test('a client that was too slow gets updates again, also when its network does not report that it keeps up', async () => {
  const world = await openMemoryWorld();
  const other = await world.join('p-other');
  const client = await world.join('p-kim');
  assert.ok((await updatesOf(world, client, other, 2)) > 0);
  client.backlog = 100_000;
  assert.equal(await updatesOf(world, client, other, 3), 0);
  client.backlog = 0;
  for (const n of [4, 5, 6]) assert.ok((await updatesOf(world, client, other, n)) > 0);
});
