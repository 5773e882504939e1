import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type { PlayerToken, Problem, RestoreOutcome, Wire, World, ZonePointInTime, ZoneRecord } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

/*
 * Queries of the past of a zone, and restores, through the API of a real server.
 */

describe('the past of a zone', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-past-'));
  let server: ServerProcess;
  let player: WorldClient;
  let id: string;

  before(async () => {
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [], worlds: { columns: 1, rows: 1, hosts: 0 } }));
    server = await startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder });
    const { tcpPort } = await ask<World>('GET', '/world');
    const { token, player: own } = await ask<PlayerToken>('POST', '/world/players', { name: 'Ann' }, 201);
    id = own;
    player = new WorldClient({ connect: tcp({ host: '127.0.0.1', port: tcpPort }), token });
    assert.deepEqual(await player.join(), { ok: true });
  });
  after(async () => {
    player.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function ask<T>(method: 'GET' | 'POST', path: string, body?: object, status = 200): Promise<T> {
    const response = await fetch(`${server.url}/api/v1${path}`, {
      method,
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const answer = await contentOf(response);
    assert.equal(response.status, status, `${path}: ${JSON.stringify(answer)}`);
    return answer as T;
  }
  const zone = (query = '') => ask<ZonePointInTime>('GET', `/world/zones/0-0${query}`);
  const audited = { operator: 'kim', reason: 'a test' };
  const restore = (body: object) => ask<RestoreOutcome>('POST', '/world/zones/0-0/restore', { ...body, ...audited });

  test('faults 43, 44: is returned exactly, or refused with the recorded range', async () => {
    const { from, to } = await ask<Wire<ZoneRecord>>('GET', '/world/zones/0-0/record');
    assert.equal(from?.seq, 1);
    assert.ok(from && to && to.seq >= 2);
    assert.equal((await zone(`?seq=${to.seq}`)).seq, to.seq);
    assert.equal((await zone(`?time=${to.stateAt}`)).live, false);
    const seconds = Math.floor(Date.parse(to.stateAt) / 1_000);
    for (const moment of [`time=1`, `time=${seconds}`, `time=${Date.parse(from.stateAt) - 1}`, `seq=${to.seq + 1_000_000}`]) {
      const problem = await ask<Problem>('GET', `/world/zones/0-0?${moment}`, undefined, 404);
      assert.equal(problem.code, 'POINT_IN_TIME_UNAVAILABLE');
      assert.match(problem.remedy, /from event 1 \(20..-.*Z\) to event \d+ \(20..-.*Z\)/);
    }
    const before = await zone();
    for (const moment of [
      { stateAt: new Date(1).toISOString() },
      { stateAt: new Date(seconds).toISOString() },
      { seq: to.seq + 1_000_000 },
    ])
      assert.equal(
        (await ask<Problem>('POST', '/world/zones/0-0/restore', { ...moment, ...audited }, 404)).code,
        'POINT_IN_TIME_UNAVAILABLE',
      );
    const later = { stateAt: new Date(Date.now() + 60_000).toISOString() };
    assert.equal((await ask<Problem>('POST', '/world/zones/0-0/restore', { ...later, ...audited }, 400)).code, 'INVALID_TIME');
    assert.equal((await ask<Problem>('GET', `/world/zones/0-0?time=${later.stateAt}`, undefined, 400)).code, 'INVALID_TIME');
    const now = await zone();
    assert.deepEqual([now.players.length, now.items.length], [before.players.length, before.items.length], 'nothing was brought back');
  });

  test('fault 43: a restore has a dry run that lists its changes', async () => {
    const then = await zone();
    const edit = { component: 'bag', fields: { items: [{ id: '', item: 'apple' }] }, ...audited };
    await ask('POST', `/world/players/${id}/edits`, edit);
    await until(() => player.you?.bag.length === 1, 'the bag has an apple');
    const carried = player.you?.bag[0]?.id;
    const planned = await restore({ seq: then.seq, dryRun: true });
    assert.deepEqual([planned.ok, planned.dryRun, planned.restoredSeq, planned.seq], [true, true, then.seq, undefined]);
    assert.deepEqual(planned.changes.playersRestored, [id]);
    assert.deepEqual(planned.changes.itemsGone, [carried]);
    assert.equal((await zone()).players[0]?.bag.items.length, 1, 'nothing has changed');
    const done = await restore({ seq: then.seq });
    assert.deepEqual([done.ok, done.dryRun, done.changes], [true, false, planned.changes]);
    await until(() => player.you?.bag.length === 0, 'the player knows');
    assert.deepEqual((await zone()).players[0]?.bag.items, []);
  });
});
