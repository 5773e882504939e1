import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { World, WorldHostStatus, WorldZoneStatus } from '@millrace/contracts';
import { startServerIn } from '../apps/server/drill/server-process.ts';
import { startSwarm } from '../apps/server/swarm/swarm.ts';
import { contentOf } from '../tests/response.ts';
import { inFolder, quantile, report } from './measure.ts';

/*
 * A real server, with bots in separate processes on the same cores that move twice per second. The latency of a decision is measured at the client,
 * from the frame to its reply. The tick duration is the longest of each zone per second.
 */

const MOVES_PER_SECOND = 2;
const WARM_SECONDS = 6;
const WATCHED_SECONDS = 12;
const JOIN_MS_MAX = 60_000;
/** The kernel’s unit of CPU time, 1/100 s. */
const JIFFY_MS = 10;
const DECISION_MS_MAX = 50;
const TICK_MS = 50;
/** Has the size of a move command. */
const COMMAND = Buffer.alloc(40, 1);
const CROWDS = [100, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000];

interface Load {
  readonly players: number;
  readonly playing: number;
  readonly decisionP50: number;
  readonly decisionP99: number;
  readonly clientP99: number;
  readonly tickP99: number;
  readonly updatesPerSecond: number;
  /** Cores that the server and its hosts used, and the swarm. */
  readonly cores: number;
  readonly swarmCores: number;
}

/** Runs a server with this number of players, and measures it. */
async function measureLoad(players: number, zones: { columns: number; rows: number }): Promise<Load> {
  return inFolder(async (folder) => {
    const server = await startServerIn(folder, {
      sources: [],
      worlds: { ...zones, hosts: 1, tcpPort: 0, connectionsMax: 20_000 },
    });
    const get = async <T>(path: string) => (await contentOf(await fetch(`${server.url}/api/v1${path}`))) as T;
    const swarm = await startSwarm({ server: server.url, players, movesPerSecond: MOVES_PER_SECOND, processes: 1 });
    try {
      await swarm.joined(JOIN_MS_MAX);
      await swarm.watch(WARM_SECONDS);
      const pids = [server.pid, ...(await get<WorldHostStatus[]>('/world/hosts')).map(({ pid }) => pid)];
      const before = pids.map(cpuMsOf);
      const ticks: number[] = [];
      const polling = setInterval(() => {
        void get<WorldZoneStatus[]>('/world/zones').then((statuses) => ticks.push(...statuses.map(({ tickMsMax }) => tickMsMax)));
      }, 1_000);
      const watched = await swarm.watch(WATCHED_SECONDS);
      clearInterval(polling);
      const world = await get<World>('/world');
      const used = pids.reduce((sum, pid, index) => sum + cpuMsOf(pid) - (before[index] ?? 0), 0);
      return {
        players,
        playing: watched.playing,
        decisionP50: world.decisionMs.p50 ?? Number.NaN,
        decisionP99: world.decisionMs.p99 ?? Number.NaN,
        clientP99: quantile(watched.tally.latencies, 0.99),
        tickP99: quantile(ticks, 0.99),
        updatesPerSecond: world.updatesPerSecond,
        cores: used / 1_000 / WATCHED_SECONDS,
        swarmCores: watched.cores,
      };
    } finally {
      swarm.end();
      await server.stop();
    }
  });
}

/** User and system time of a process so far (proc(5), stat, fields 14 and 15). */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * JIFFY_MS;
}

const printLoad = (load: Load) =>
  console.error(
    `${load.players} players: ${load.playing} playing; decision p50 ${load.decisionP50.toFixed(1)} ms, p99 ${load.decisionP99.toFixed(1)} ms ` +
      `(at the bots ${load.clientP99.toFixed(1)}); tick p99 ${load.tickP99.toFixed(1)} ms; ${load.updatesPerSecond} updates/s; ` +
      `server ${load.cores.toFixed(2)} cores (${((load.cores * 1_000) / load.players).toFixed(2)} per thousand), swarm ${load.swarmCores.toFixed(2)}`,
  );

/** Round trip time of the same commands over the same number of bare connections to an echo process, p99, ms. */
async function measureEcho(players: number): Promise<number> {
  const child = fork(import.meta.filename, ['echo'], { execArgv: [] });
  const [port] = (await once(child, 'message')) as [number];
  const sockets = await Promise.all(
    Array.from({ length: players }, async () => {
      const socket = connect(port, '127.0.0.1').setNoDelay();
      await once(socket, 'connect');
      return socket;
    }),
  );
  const durations: number[] = [];
  const sentAt = new Map<Socket, number>();
  for (const socket of sockets)
    socket.on('data', () => {
      durations.push(performance.now() - (sentAt.get(socket) ?? 0));
    });
  const started = performance.now();
  const total = players * MOVES_PER_SECOND * WARM_SECONDS;
  for (let sent = 0; sent < total; await setTimeout(1)) {
    const due = Math.floor(((performance.now() - started) / 1_000) * players * MOVES_PER_SECOND);
    for (; sent < Math.min(due, total); sent++) {
      const socket = sockets[sent % players] as Socket;
      sentAt.set(socket, performance.now());
      socket.write(COMMAND);
    }
  }
  for (const socket of sockets) socket.destroy();
  child.kill();
  return quantile(durations, 0.99);
}

function echo(): void {
  const server = createServer((socket) =>
    socket
      .setNoDelay()
      .on('error', () => {})
      .pipe(socket),
  ).listen(0, '127.0.0.1', () => {
    process.send?.((server.address() as AddressInfo).port);
  });
}

async function reportCrowd(what: string, load: Load, note: string): Promise<void> {
  const bare = await measureEcho(load.players);
  report({
    what: `${what}: response time of a move at the bot, p99`,
    ours: load.clientP99,
    bare,
    unit: 'ms',
    budget: { kind: '<=', value: 20 },
    note: `bare echoes the bytes; decision p99 ${load.decisionP99.toFixed(1)} ms${note}`,
  });
  report({
    what: `${what}: duration of a tick, p99 (bare: the tick interval)`,
    ours: load.tickP99,
    bare: TICK_MS,
    unit: 'ms',
    budget: { kind: '<=', value: 1 },
  });
}

if (process.send && process.argv[2] === 'echo') echo();
else await measure();

async function measure(): Promise<void> {
  const singleZone = await measureLoad(100, { columns: 1, rows: 1 });
  printLoad(singleZone);
  await reportCrowd('one zone, 100 players', singleZone, '');

  const loads: Load[] = [];
  for (const players of CROWDS) {
    const load = await measureLoad(players, { columns: 10, rows: 10 }).catch((error: Error) => {
      console.error(`${players} players: ${error.message}`);
      return null;
    });
    if (!load) break;
    printLoad(load);
    if (load.playing < players || load.decisionP99 > DECISION_MS_MAX) break;
    loads.push(load);
  }
  const largest = loads.at(-1);
  const smallest = loads[0];
  if (!largest || !smallest) process.exit(1);
  await reportCrowd(
    `100 zones, ${largest.playing.toLocaleString('en')} players`,
    largest,
    `; server ${largest.cores.toFixed(2)} cores, swarm ${largest.swarmCores.toFixed(2)}`,
  );
  const costMax = Math.max(...loads.slice(1).map(({ cores, players }) => cores / players));
  const costAt500 = (loads[1] ?? smallest).cores / (loads[1] ?? smallest).players;
  report({
    what: 'cost of a player, maximum of 500 and more players (bare: 500)',
    ours: costMax * 1_000,
    bare: costAt500 * 1_000,
    unit: 'cores per 1,000',
    budget: { kind: '<=', value: 1.2 },
  });
  process.exit();
}
