import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { WorldClient } from '@millrace/client/world';
import type { WorldPlan } from '@millrace/contracts';
import { ZONE_SIZE } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { type SmallWorld, startSmallWorld } from './small-world.ts';

const plan: WorldPlan = { seed: 7, columns: 2, rows: 1, monsters: 5, items: 20 };

/** Moves a player to a position, like an operator. */
async function put(world: SmallWorld, id: string, place: { x: number; y: number }): Promise<void> {
  const zone = world.gateway.zoneOf(id) ?? '';
  const reply = await world.gateway.command(
    zone,
    { type: 'EditPlayer', player: id, component: 'position', fields: place, operator: 'test', reason: 'a test' },
    { id: `put-${id}-${performance.now()}` },
  );
  assert.deepEqual((reply as { ok: boolean }).ok, true, JSON.stringify(reply));
}

/** Walks in steps of an honest client, through free rows at the border. */
async function walk(client: WorldClient, to: { x: number; y: number }): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const { you } = client;
    assert.ok(you);
    const distance = Math.hypot(to.x - you.x, to.y - you.y);
    if (distance < 1) return;
    const step = Math.min(50, distance);
    const answer = await client.move(
      Math.round(you.x + ((to.x - you.x) * step) / distance),
      Math.round(you.y + ((to.y - you.y) * step) / distance),
    );
    if (!answer.ok && ['TOO_FAST', 'ZONE_MOVING', 'IN_TRANSIT'].includes(answer.code))
      await new Promise((resolve) => setTimeout(resolve, 30));
    else if (!answer.ok) assert.equal(answer.code, 'LOST');
  }
  throw new Error('the walk did not end');
}

describe('playing in the world over TCP', () => {
  let world: SmallWorld;
  before(async () => {
    world = await startSmallWorld(plan);
  });
  after(() => world.stop());

  test('a player joins, sees its surroundings, moves, and is corrected', async () => {
    const corrected: string[] = [];
    const ann = await world.player('ann', { onCorrected: ({ code }) => corrected.push(code) });
    assert.deepEqual(await ann.join(), { ok: true });
    await until(() => ann.objects.size > 0, 'ann sees something');
    assert.ok(ann.you && ann.zone);
    const { x, y } = ann.you;
    assert.equal(ann.objects.get('ann')?.x, x);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const moved = await ann.move(x + 20, y);
    if (moved.ok) assert.equal(ann.you.x, x + 20);
    const far = await ann.move(x + 3_000, y);
    assert.equal(far.ok, false);
    assert.ok(corrected.length >= 1);
    assert.ok(['TELEPORT', 'OUT_OF_BOUNDS'].includes(corrected.at(-1) ?? ''));
    assert.equal(Math.abs((ann.you?.x ?? 0) - x) <= 20, true);
  });

  test('players see each other arrive, move, chat and leave', async () => {
    const bob = await world.player('bob');
    const said: string[] = [];
    const eve = await world.player('eve', { onNotice: ({ kind, from, text }) => said.push(`${kind} ${from} ${text}`) });
    await bob.join();
    await eve.join();
    const zone = world.gateway.zoneOf('eve') ?? '';
    const place = { x: Number(zone.split('-')[0]) * ZONE_SIZE + 150, y: 150 };
    await put(world, 'eve', place);
    if (world.gateway.zoneOf('bob') !== zone) {
      const column = Number((world.gateway.zoneOf('bob') ?? '').split('-')[0]);
      await put(world, 'bob', { x: column === 0 ? ZONE_SIZE - 50 : ZONE_SIZE + 50, y: 150 });
      await until(() => bob.you?.y === 150, 'bob is at the border');
      await walk(bob, { x: column === 0 ? ZONE_SIZE + 50 : ZONE_SIZE - 50, y: 150 });
      await until(() => world.gateway.zoneOf('bob') === zone && bob.zone?.zone === zone, 'bob has crossed');
    }
    await put(world, 'bob', { x: place.x + 200, y: 150 });
    await until(() => eve.objects.get('bob')?.x === place.x + 200, 'eve sees bob');
    await until(() => bob.you?.x === place.x + 200, 'bob knows where it is');
    await walk(bob, { x: place.x + 300, y: 150 });
    await until(() => eve.objects.get('bob')?.x === place.x + 300, 'eve sees bob move');
    assert.deepEqual(await bob.say('안녕'), { ok: true });
    await until(() => said.includes('said bob 안녕'), 'eve hears bob');
    await bob.leave();
    await until(() => !eve.objects.has('bob'), 'bob is out of sight');
  });

  test('a player crosses from host to host, and is in exactly one zone', async () => {
    const kim = await world.player('kim');
    await kim.join();
    const column = Number((world.gateway.zoneOf('kim') ?? '').split('-')[0]);
    const [here, there] = column === 0 ? [ZONE_SIZE - 60, ZONE_SIZE + 60] : [ZONE_SIZE + 60, ZONE_SIZE - 60];
    await put(world, 'kim', { x: here, y: 100 });
    await until(() => kim.you?.y === 100, 'kim is at the border');
    for (let crossing = 0; crossing < 6; crossing++) {
      await walk(kim, { x: crossing % 2 === 0 ? there : here, y: 100 });
      const zone = crossing % 2 === 0 ? `${1 - column}-0` : `${column}-0`;
      await until(() => kim.zone?.zone === zone && kim.state === 'joined', `crossing ${crossing}`);
      await until(
        () => Object.keys(world.state(`${0}-0`).departures).length + Object.keys(world.state('1-0').departures).length === 0,
        'the handover is confirmed',
      );
      const where = ['0-0', '1-0'].filter((id) => world.state(id).players.kim);
      assert.deepEqual(where, [zone]);
    }
  });

  test('a lost connection is resumed: same session, no missed notices, no repeated commands', async () => {
    const notices: string[] = [];
    const lee = await world.player('lee', { onNotice: ({ text }) => notices.push(text ?? '') });
    await lee.join();
    const zone = world.gateway.zoneOf('lee') ?? '';
    const session = world.state(zone).players.lee?.presence.session;
    lee.drop();
    await until(() => world.gateway.sessionOf('lee')?.connection === null, 'the connection is gone');
    await world.gateway.command(zone, { type: 'Announce', text: 'while you were out', operator: 'test' }, { id: 'announce-1' });
    await until(() => lee.state === 'joined', 'lee is back');
    await until(() => notices.includes('while you were out'), 'lee hears what was said meanwhile');
    assert.equal(world.state(zone).players.lee?.presence.session, session);
    assert.equal(notices.length, 1);
    await until(() => lee.objects.has('lee'), 'lee sees again');
  });

  test('a player that does not return falls asleep, and wakes in the same place', async () => {
    const short = await startSmallWorld({ ...plan, columns: 1 }, { lingerMs: 300 });
    try {
      const pat = await short.player('pat');
      await pat.join();
      const place = { ...short.state('0-0').players.pat?.position };
      pat.close();
      await until(() => short.state('0-0').players.pat?.presence.session === '', 'pat sleeps');
      assert.equal(short.state('0-0').awake, 0);
      const again = await short.player('pat');
      await again.join();
      assert.deepEqual({ x: again.you?.x, y: again.you?.y }, place);
    } finally {
      await short.stop();
    }
  });

  test('a second connection of a player takes over from the first', async () => {
    const ended: string[] = [];
    const first = await world.player('max', { onEnd: (code) => ended.push(code) });
    await first.join();
    const second = await world.player('max');
    assert.deepEqual(await second.join(), { ok: true });
    await until(() => ended.length > 0, 'the first is told');
    assert.deepEqual(ended, ['REPLACED']);
    assert.equal(second.state, 'joined');
  });

  test('an operator kicks a player and speaks to a zone', async () => {
    const ended: string[] = [];
    const sam = await world.player('sam', { onEnd: (code, message) => ended.push(`${code} ${message}`) });
    await sam.join();
    const zone = world.gateway.zoneOf('sam') ?? '';
    await world.gateway.command(zone, { type: 'KickPlayer', player: 'sam', operator: 'kim', reason: 'rude' }, { id: 'kick-1' });
    await until(() => ended.length > 0, 'sam is told');
    assert.match(ended[0] ?? '', /KICKED .*rude/);
    assert.equal(world.state(zone).players.sam?.presence.session, '');
  });
});
