import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TILE_SIZE, TILES_PER_SIDE, WORLD_PROTOCOL } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { Cheat } from './cheat.ts';
import { type SmallWorld, startSmallWorld } from './small-world.ts';

/*
 * Cheating clients: their frames are refused with a code, counted, and have no effect.
 */

const plan = { seed: 7, columns: 1, rows: 1, monsters: 0, items: 10 };

describe('a cheating client', () => {
  let world: SmallWorld;
  const cheats: Cheat[] = [];
  before(async () => {
    world = await startSmallWorld(plan);
    const honest = await world.player('honest');
    await honest.join();
  });
  after(async () => {
    await Promise.all(cheats.map((cheat) => cheat.end()));
    await world.stop();
  });

  const enter = async (id: string) => {
    const cheat = await Cheat.joined({ host: '127.0.0.1', port: world.port }, await world.token(id));
    cheats.push(cheat);
    return cheat;
  };
  const place = (id: string) => ({ ...(world.state('0-0').players[id]?.position ?? { x: -1, y: -1 }) });
  const violationsOf = (id: string) => world.state('0-0').players[id]?.violations.byCode ?? {};

  test('that jumps is corrected, and it is counted', async () => {
    const cheat = await enter('jumper');
    const { x, y } = place('jumper');
    const answer = await cheat.answer(cheat.command({ t: 'move', x: x > 3_200 ? x - 2_500 : x + 2_500, y }));
    assert.deepEqual(
      [answer.t, 'code' in answer && answer.code, 'x' in answer && answer.x, 'y' in answer && answer.y],
      ['refused', 'TELEPORT', x, y],
    );
    assert.deepEqual(place('jumper'), { x, y });
    await until(() => violationsOf('jumper').TELEPORT === 1, 'it is counted');
  });

  test('that moves twice as fast gets no farther than others', async () => {
    const cheat = await enter('runner');
    const speed = world.state('0-0').players.runner?.motion.speed ?? 0;
    const started = performance.now();
    const deadline = started + 30_000;
    let stepped = started;
    let travelled = 0;
    let refused = 0;
    let heading = 1;
    // On any machine: each step is twice as long as the time since the previous one allows.
    while ((refused <= 5 || performance.now() - started < 2_500) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const now = performance.now();
      const distance = Math.round((2 * speed * Math.min(200, now - stepped)) / 1_000);
      stepped = now;
      const from = place('runner');
      const answer = await cheat.answer(cheat.command({ t: 'move', x: from.x + heading * distance, y: from.y }));
      if (answer.t === 'ok') travelled += distance;
      else if (answer.code === 'TOO_FAST') refused++;
      else heading = -heading;
    }
    const seconds = (performance.now() - started) / 1_000;
    assert.ok(refused > 5, `${refused} steps were refused`);
    // The server allows a tenth more, and one second of movement at once.
    assert.ok(travelled <= speed * 1.1 * (seconds + 1), `${travelled} cm in ${seconds} s at ${speed} cm/s`);
  });

  test('that walks through a wall stays on its side', async () => {
    const cheat = await enter('ghost');
    const blocked = cheat.last('zone')?.blocked ?? new Uint8Array();
    const isBlocked = (column: number, row: number) => {
      const tile = row * TILES_PER_SIDE + column;
      return ((blocked[tile >> 3] ?? 0) & (0x80 >> (tile & 7))) !== 0;
    };
    const row = [...Array(TILES_PER_SIDE).keys()].find((at) =>
      [...Array(TILES_PER_SIDE - 2).keys()].some(
        (column) => !isBlocked(column, at) && isBlocked(column + 1, at) && !isBlocked(column + 2, at),
      ),
    ) as number;
    const column = [...Array(TILES_PER_SIDE - 2).keys()].find(
      (at) => !isBlocked(at, row) && isBlocked(at + 1, row) && !isBlocked(at + 2, row),
    ) as number;
    const here = { x: column * TILE_SIZE + 50, y: row * TILE_SIZE + 50 };
    await world.gateway.command(
      '0-0',
      { type: 'EditPlayer', player: 'ghost', component: 'position', fields: here, operator: 'test', reason: 'before a wall' },
      { id: 'put-ghost' },
    );
    assert.equal(await cheat.refusal(cheat.command({ t: 'move', x: here.x + 2 * TILE_SIZE, y: here.y })), 'THROUGH_WALL');
    assert.deepEqual(place('ghost'), here);
  });

  test('that takes distant items, or items of others, gets nothing', async () => {
    const cheat = await enter('thief');
    const { x, y } = place('thief');
    const far = Object.values(world.state('0-0').items).find((item) => Math.hypot(item.position.x - x, item.position.y - y) > 1_000);
    assert.equal(await cheat.refusal(cheat.command({ t: 'take', item: far?.id })), 'OUT_OF_REACH');
    assert.equal(await cheat.refusal(cheat.command({ t: 'use', item: far?.id })), 'NOT_CARRIED');
    assert.deepEqual(world.state('0-0').players.thief?.bag.items, []);
  });

  test('that repeats an accepted command number has no second effect', async () => {
    const cheat = await enter('echo');
    const n = cheat.command({ t: 'say', text: 'once' });
    assert.equal((await cheat.answer(n)).t, 'ok');
    cheat.frames.length = 0;
    cheat.send({ t: 'say', text: 'twice', n });
    assert.equal(await cheat.refusal(n), 'DUPLICATE_COMMAND');
    assert.equal(cheat.last('notice'), undefined);
  });

  test('that sends a thousand commands at once is limited, then disconnected', async () => {
    const cheat = await enter('flood');
    const before_ = place('flood');
    for (let count = 0; count < 1_000; count++) cheat.command({ t: 'move', x: before_.x, y: before_.y });
    assert.equal(await cheat.disconnectReason(), 'FLOOD');
    assert.ok(cheat.frames.some((frame) => frame.t === 'refused' && frame.code === 'RATE_LIMITED'));
    assert.deepEqual(place('flood'), before_);
    const again = new Cheat({ host: '127.0.0.1', port: world.port });
    again.send({ t: 'hello', v: WORLD_PROTOCOL, token: await world.token('flood') });
    assert.equal(await again.disconnectReason(), 'TEMPORARILY_BANNED');
    assert.match(again.last('bye')?.message ?? '', /in [1-5] s/);
  });

  test('that sends invalid frames gets errors, then is disconnected', async () => {
    const cheat = await enter('noise');
    for (const junk of [
      7,
      'hello',
      [1, 2],
      { t: 'become-king', n: 2 },
      { t: 'move', n: 3, x: 'far', y: 1 },
      { t: 'move', n: 4, x: 1 },
      { n: 5 },
    ])
      cheat.send(junk);
    await until(
      () => cheat.frames.filter((frame) => frame.t === 'refused' && frame.code === 'INVALID_FRAME').length === 7,
      'all are refused',
    );
    for (let count = 0; count < 30; count++) cheat.bytes(Uint8Array.of(0, 0, 0, 1, 0xc1));
    assert.equal(await cheat.disconnectReason(), 'TOO_MANY_INVALID_FRAMES');
  });

  test('that sends a huge frame is disconnected before it is read', async () => {
    const cheat = await enter('giant');
    cheat.bytes(Uint8Array.of(0x7f, 0xff, 0xff, 0xff));
    assert.equal(await cheat.disconnectReason(), 'FRAME_TOO_LARGE');
  });

  test('that sends hello too slowly is disconnected', async () => {
    const loris = new Cheat({ host: '127.0.0.1', port: world.port });
    cheats.push(loris);
    const dripping = setInterval(() => !loris.isEnded && loris.bytes(Uint8Array.of(0)), 200);
    try {
      assert.equal(await loris.disconnectReason(15_000), 'HELLO_REQUIRED');
    } finally {
      clearInterval(dripping);
    }
  });

  test('does not affect others, and is visible to operators', async () => {
    const honest = world.state('0-0').players.honest;
    assert.deepEqual([honest?.violations.total, honest?.health.points, honest?.bag.items], [0, 100, []]);
    const flagged = Object.values(world.state('0-0').players).filter(({ violations }) => violations.total > 0);
    for (const id of ['jumper', 'runner', 'ghost', 'echo', 'noise'])
      assert.ok(
        flagged.some((one) => one.id === id),
        id,
      );
  });
});
