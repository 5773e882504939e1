import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type { PlayerStatus, PlayerToken, World, WorldHostStatus, WorldZoneStatus, ZonePointInTime } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

/*
 * Real zone host processes of a real server: killed, suspended, replaced, with players in their zones.
 */

const PLAYERS = 24;

describe('zone hosts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-hosts-'));
  let server: ServerProcess;
  const players: { id: string; client: WorldClient }[] = [];
  /** Players with a lost connection. */
  const dropped: string[] = [];

  before(async () => {
    writeFileSync(
      join(folder, 'millrace.config.json'),
      JSON.stringify({ sources: [], worlds: { columns: 4, rows: 1, hosts: 2, leaseMs: 1_000, standbyCopies: true } }),
    );
    server = await startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder });
    const { tcpPort } = await get<World>('/world');
    for (let index = 0; index < PLAYERS; index++) {
      const { player, token } = await post<PlayerToken>('/world/players', { name: `Player ${index}` });
      const client = new WorldClient({
        connect: tcp({ host: '127.0.0.1', port: tcpPort }),
        token,
        onState: (state) => state === 'connecting' && dropped.push(player),
      });
      players.push({ id: player, client });
      assert.deepEqual(await client.join(), { ok: true });
    }
  });
  after(async () => {
    for (const { client } of players) client.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function get<T>(path: string): Promise<T> {
    const response = await fetch(`${server.url}/api/v1${path}`);
    assert.ok(response.ok, `${path}: ${response.status}`);
    return (await contentOf(response)) as T;
  }
  async function post<T>(path: string, body: object): Promise<T> {
    const response = await fetch(`${server.url}/api/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    assert.ok(response.ok, `${path}: ${response.status}`);
    return (await contentOf(response)) as T;
  }
  const hosts = () => get<WorldHostStatus[]>('/world/hosts');
  /** Checks that all players can chat, and that each is in exactly one zone. */
  async function everyonePlays(): Promise<void> {
    await Promise.all(
      players.map(({ client }) =>
        until(async () => {
          if (client.state !== 'joined') return false;
          const answer = await client.say('here');
          return answer.ok || answer.code === 'COOLDOWN';
        }, 'a player plays again'),
      ),
    );
    const seen: string[] = [];
    for (let column = 0; column < 4; column++)
      seen.push(...(await get<ZonePointInTime>(`/world/zones/${column}-0`)).players.map(({ id }) => id));
    assert.deepEqual(seen.sort(), players.map(({ id }) => id).sort());
  }

  test('share the zones evenly', async () => {
    assert.deepEqual(
      (await hosts()).map(({ open }) => open),
      [2, 2],
    );
    await everyonePlays();
  });

  test('keep copies of the zones of the other host', async () => {
    await until(async () => (await hosts()).every(({ standbyZones }) => standbyZones === 2), 'each has a copy of two zones');
  });

  test('are in the metrics with their zones', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    for (const line of [/^millrace_world_players\{zone="0-0"\} \d+$/m, /^millrace_world_host_zones\{host="zones-1"\} 2$/m])
      assert.match(text, line);
    assert.match(text, /^millrace_world_decision_seconds\{quantile="p99"\} [0-9.e-]+$/m);
  });

  test('killed: the other host takes over at once, players stay connected, and the next host gets zones again', async () => {
    const epochs = new Map((await get<WorldZoneStatus[]>('/world/zones')).map(({ zone, epoch }) => [zone, epoch]));
    const [victim] = await hosts();
    assert.ok(victim);
    process.kill(victim.pid, 'SIGKILL');
    await until(async () => (await hosts()).some(({ id, pid }) => id === victim.id && pid !== victim.pid), 'the host is started anew');
    await everyonePlays();
    assert.deepEqual(dropped, []);
    await until(async () => (await hosts()).every(({ open }) => open === 2), 'the zones are shared again');
    await everyonePlays();
    await until(
      async () => (await get<WorldZoneStatus[]>('/world/zones')).some(({ zone, epoch }) => epoch > (epochs.get(zone) ?? 0)),
      'a zone has a new epoch',
    );
  });

  test('fault 30: all killed at once: a standby process takes over, and all players continue', async () => {
    const runningOf = async () => new Set((await hosts()).map(({ pid }) => pid));
    const before = await runningOf();
    await until(() => standby(server, before).length === 1, 'a process stands by');
    const [waiting] = standby(server, before);
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await until(async () => (await runningOf()).has(waiting as number), 'the process that stood by is a zone host');
    await everyonePlays();
    assert.deepEqual(dropped, []);
    await until(async () => (await hosts()).every(({ open }) => open === 2), 'the zones are shared again');
    await everyonePlays();
    const now = await runningOf();
    await until(() => standby(server, now).length === 1, 'another one stands by');
  });

  test('suspended: its zones move when its lease expires, and it is killed and restarted', async () => {
    const [sleeper] = await hosts();
    assert.ok(sleeper);
    process.kill(sleeper.pid, 'SIGSTOP');
    await until(async () => (await hosts()).some(({ id, pid }) => id === sleeper.id && pid !== sleeper.pid), 'it is started anew');
    await everyonePlays();
    await until(async () => (await hosts()).every(({ open }) => open === 2), 'the zones are shared again');
    await everyonePlays();
  });

  test('replaced: a new host takes over and the old one ends, while all players continue', async () => {
    const [old] = await hosts();
    assert.ok(old);
    await post(`/world/hosts/${old.id}/replace`, {});
    await until(async () => {
      const now = await hosts();
      return now.length === 2 && now.every(({ id, open }) => id !== old.id && open === 2);
    }, 'the new host has the old one’s zones');
    await everyonePlays();
  });

  test('fault 47: a starting host cannot be replaced; a running one can', async () => {
    const ask = (id: string) =>
      fetch(`${server.url}/api/v1/world/hosts/${id}/replace`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      });
    const before = (await hosts()).map(({ id }) => id);
    const memory: (number | undefined)[] = [];
    await until(async () => {
      const [victim] = await hosts();
      assert.ok(victim);
      process.kill(victim.pid, 'SIGKILL');
      let starting: WorldHostStatus | undefined;
      await until(async () => {
        starting = (await hosts()).find(({ id, state }) => id === victim.id && state === 'starting');
        return starting !== undefined;
      }, 'it is starting');
      // Not that of the ended process.
      memory.push(starting?.memoryBytes);
      const { status } = await ask(victim.id);
      // It may have arrived between the two requests.
      if (status === 409) return true;
      assert.equal(status, 200);
      return false;
    }, 'a host is asked to be replaced while it is starting');
    assert.equal(memory[0], 0);
    await until(async () => (await hosts()).every(({ open, state }) => open === 2 && state === 'up'), 'the zones are shared again');
    const after = (await hosts()).map(({ id }) => id);
    assert.equal(after.length, before.length);
    for (const id of after) {
      assert.equal((await ask(id)).status, 200);
      await until(async () => {
        const now = await hosts();
        return now.length === 2 && now.every((host) => host.id !== id && host.open === 2 && host.state === 'up');
      }, `${id} is replaced`);
    }
    await everyonePlays();
  });

  test('an undrained host is not replaced any more: a later drain does not end it', async () => {
    const order = (id: string, what: string) =>
      fetch(`${server.url}/api/v1/world/hosts/${id}/${what}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      });
    const of = async (id: string) => (await hosts()).find((host) => host.id === id);
    let kept = '';
    await until(async () => {
      kept = (await hosts())[0]?.id as string;
      assert.equal((await order(kept, 'replace')).status, 200);
      // Too late when it has released its zones already.
      if ((await order(kept, 'undrain')).status === 200 && (await of(kept))) return true;
      await until(async () => (await hosts()).length === 2 && (await hosts()).every(({ open }) => open === 2), 'it is replaced');
      return false;
    }, 'a host is undrained before it is replaced');
    await until(async () => (await hosts()).length === 3 && (await hosts()).every(({ open }) => open > 0), 'three hosts share the zones');
    assert.equal((await order(kept, 'drain')).status, 200);
    await until(async () => ((await of(kept))?.zones ?? 0) === 0, 'it has no zones');
    assert.equal((await of(kept))?.state, 'draining');
    assert.equal((await order(kept, 'replace')).status, 200);
    await until(async () => (await of(kept)) === undefined, 'it is replaced');
    await everyonePlays();
  });

  test('a player edited by an operator is notified, and the audit log has the change', async () => {
    const [{ id, client }] = players as [{ id: string; client: WorldClient }];
    const outcome = await post<{ ok: boolean }>(`/world/players/${id}/edits`, {
      component: 'motion',
      fields: { speed: 900 },
      operator: 'kim',
      reason: 'a test',
    });
    assert.equal(outcome.ok, true);
    await until(() => client.you?.speed === 900, 'the player knows');
    assert.equal((await get<PlayerStatus>(`/world/players/${id}`)).player?.motion.speed, 900);
    await until(async () => {
      const response = await fetch(`${server.url}/api/v1/world/players/${id}/history`);
      return response.ok && JSON.stringify(await response.json()).includes('a test');
    }, 'the tables have it');
  });

  test('any past state can be queried, and equals the state of that time', async () => {
    const live = await get<ZonePointInTime>('/world/zones/0-0');
    await post('/world/zones/0-0/announcements', { text: 'the world goes on', operator: 'kim' });
    await until(async () => (await get<ZonePointInTime>(`/world/zones/0-0?seq=${live.seq}`)).hash === live.hash, 'the record has it');
  });

  test('a smaller world is refused at the next start, because the players in the zones that are left out would be created again elsewhere', async () => {
    for (const { client } of players) client.close();
    await server.stop();
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [], worlds: { columns: 3, rows: 1, hosts: 2 } }));
    await assert.rejects(
      startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder }),
      /ended with 1 [\s\S]*leaves out existing ones: 3-0\.[\s\S]*worlds\.columns to 4/,
    );
  });
});

/** Processes of zone hosts, except these. */
function standby({ child: { pid } }: ServerProcess, hosts: ReadonlySet<number>): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  const isZoneHost = (child: number) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('zone-host-process');
  return children.filter((child) => !hosts.has(child) && isZoneHost(child));
}
