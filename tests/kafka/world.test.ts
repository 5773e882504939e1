import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type { ConsumerGroupStatus, PlayerToken, World, WorldHostStatus } from '@millrace/contracts';
import { kafkaMissing, openTestKafka, type TestKafka } from '@millrace/kafka/testing';
import { openedBy } from '@millrace/lmdb';
import { until } from '@millrace/testing';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

const PLAYERS = 8;
const missing = await kafkaMissing();

describe('a world whose log is on three brokers', { skip: missing ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-world-on-kafka-'));
  let kafka: TestKafka;
  let server: ServerProcess;
  const clients: WorldClient[] = [];
  before(async () => {
    kafka = await openTestKafka();
    const worlds = { columns: 4, rows: 1, hosts: 2, leaseMs: 1_000 };
    const log = { engine: 'kafka', brokers: kafka.addresses };
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [], worlds, log }));
    const args = ['up', '--port', '0', '--data', join(folder, 'data')];
    server = await startServer(args, { cwd: folder, env: { MILLRACE_LOGGING__LEVEL: 'debug' } });
    const { tcpPort } = await api<World>('/world');
    for (let index = 0; index < PLAYERS; index++) {
      const { token } = await api<PlayerToken>('/world/players', { name: `Player ${index}` });
      const client = new WorldClient({ connect: tcp({ host: '127.0.0.1', port: tcpPort }), token });
      clients.push(client);
      assert.deepEqual(await client.join(), { ok: true });
    }
  });
  after(async () => {
    for (const client of clients) client.close();
    await server?.stop();
    await kafka?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });

  async function api<T>(path: string, body?: object): Promise<T> {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${server.url}/api/v1${path}`, body && { method: 'POST', headers, body: JSON.stringify(body) });
    assert.ok(response.ok, `${path}: ${response.status}`);
    return (await contentOf(response)) as T;
  }
  const hosts = () => api<WorldHostStatus[]>('/world/hosts');
  const everyonePlays = () =>
    Promise.all(clients.map((client, index) => until(async () => (await client.say('here')).ok, `player ${index} plays`)));

  test('writes its tables from all shards, as the only member of their group', async () => {
    await until(async () => {
      const groups = await api<ConsumerGroupStatus[]>('/consumer-groups');
      return groups.some(({ group, applied, lag, failure }) => group === 'world-history' && applied > 0 && lag === 0 && failure === null);
    }, 'the tables have everything');
  });

  test('continues on the standby copies of the other host when a host is killed, and has copies of all zones again', async () => {
    await until(async () => (await hosts()).every(({ standbyZones }) => standbyZones === 2), 'each has a copy of two zones');
    const [killed] = await hosts();
    assert.ok(killed);
    process.kill(killed.pid, 'SIGKILL');
    await until(async () => (await hosts()).some(({ id, pid }) => id === killed.id && pid !== killed.pid), 'it is started anew');
    const index = join(folder, 'data', 'worlds', 'index');
    for (const { pid } of await hosts()) assert.ok(await openedBy(pid, index), 'the hosts share the index of zones');
    await everyonePlays();
    const recovered = server
      .errors()
      .split('\n')
      .filter((line) => /"source":"standby","ms":[\d.]+,"outcome":\d/.test(line));
    assert.ok(recovered.length >= 2, 'two zones were recovered from copies');
    await until(
      async () => (await hosts()).every(({ open, standbyZones }) => open === 2 && standbyZones === 2),
      'the zones and their copies are shared again',
    );
    await everyonePlays();
  });
});
