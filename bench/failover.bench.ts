import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type { PlayerToken, World, WorldHostStatus } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { contentOf } from '../tests/response.ts';
import { type ServerProcess, startServer } from '../tests/server.ts';
import { inFolder, median, report } from './measure.ts';

/*
 * Time from the kill of all zone hosts at once (SIGKILL) until a command of every player is accepted again: with a standby host, and without one.
 * Without a standby host, a new process has to start first.
 */

const ROUNDS = 5;
const PLAYERS = 20;
/** Time for the standby process to start and for the zones to be distributed again, ms. */
const QUIET_MS = 8_000;

async function open(folder: string, standby: number): Promise<() => Promise<number>> {
  const data = join(folder, `standby-${standby}`);
  const config = join(folder, `standby-${standby}.json`);
  writeFileSync(config, JSON.stringify({ sources: [], worlds: { columns: 4, rows: 1, hosts: 2, standby } }));
  const server = await startServer(['up', '--port', '0', '--config', config, '--data', data], { cwd: folder });
  closing.push(server);
  const api = async <T>(path: string, body?: object): Promise<T> => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${server.url}/api/v1${path}`, body && { method: 'POST', headers, body: JSON.stringify(body) });
    return (await contentOf(response)) as T;
  };
  const { tcpPort } = await api<World>('/world');
  const clients: WorldClient[] = [];
  for (let index = 0; index < PLAYERS; index++) {
    const { token } = await api<PlayerToken>('/world/players', { name: `Player ${index}` });
    const client = new WorldClient({ connect: tcp({ host: '127.0.0.1', port: tcpPort }), token });
    await client.join();
    clients.push(client);
  }
  return async () => {
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    const hosts = await api<WorldHostStatus[]>('/world/hosts');
    const killedAt = performance.now();
    for (const { pid } of hosts) process.kill(pid, 'SIGKILL');
    await Promise.all(clients.map((client, index) => until(async () => (await client.say('here')).ok, `player ${index} plays again`)));
    return performance.now() - killedAt;
  };
}

const closing: ServerProcess[] = [];
await inFolder(async (folder) => {
  const [withStandby, without] = [await open(folder, 1), await open(folder, 0)];
  const times = { withStandby: [] as number[], without: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    times.without.push(await without());
    times.withStandby.push(await withStandby());
  }
  report({
    what: 'all zone hosts killed: time until all players are served again, 1 standby host (bare: none)',
    ours: median(times.withStandby),
    bare: median(times.without),
    unit: 'ms',
    budget: { kind: '<=', value: 0.75 },
  });
  for (const server of closing) await server.kill();
});
process.exit();
