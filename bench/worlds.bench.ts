import { readFileSync } from 'node:fs';
import type { World, WorldHostStand, ZoneStand } from '@millrace/contracts';
import { startServerIn } from '../apps/server/drill/server-process.ts';
import { startSwarm } from '../apps/server/swarm/swarm.ts';
import { inFolder, quantile, report } from './measure.ts';

/*
 * A real server, and a swarm of bots that move twice a second in processes beside it, on the same cores. Decisions are timed
 * at the door: from the frame to its answer. Ticks: the longest of each zone and second.
 */

const MOVES_PER_SECOND = 2;
const WARM_SECONDS = 6;
const WATCHED_SECONDS = 12;
const JOIN_MS_MAX = 60_000;
/** The kernel’s unit of CPU time, 1/100 s. */
const JIFFY_MS = 10;
const DECISION_MS_MAX = 50;
const CROWDS = [100, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000];

interface Load {
  readonly players: number;
  readonly playing: number;
  readonly decisionP50: number;
  readonly decisionP99: number;
  readonly seenP99: number;
  readonly tickP99: number;
  readonly updatesPerSecond: number;
  /** Cores that the server and its hosts used, and the swarm. */
  readonly cores: number;
  readonly swarmCores: number;
}

async function loaded(players: number, zones: { columns: number; rows: number }): Promise<Load> {
  return inFolder(async (folder) => {
    const server = await startServerIn(folder, {
      sources: [],
      worlds: { ...zones, hosts: 1, tcpPort: 0, connectionsMax: 20_000 },
    });
    const get = async <T>(path: string) => (await (await fetch(`${server.url}/api/v1${path}`)).json()) as T;
    const swarm = await startSwarm({ server: server.url, players, movesPerSecond: MOVES_PER_SECOND, processes: 1 });
    try {
      await swarm.joined(JOIN_MS_MAX);
      await swarm.watch(WARM_SECONDS);
      const pids = [server.pid, ...(await get<WorldHostStand[]>('/worlds/hosts')).map(({ pid }) => pid)];
      const before = pids.map(cpuMsOf);
      const ticks: number[] = [];
      const looking = setInterval(() => {
        void get<ZoneStand[]>('/worlds/zones').then((stands) => ticks.push(...stands.map(({ tickMsMost }) => tickMsMost)));
      }, 1_000);
      const seen = await swarm.watch(WATCHED_SECONDS);
      clearInterval(looking);
      const world = await get<World>('/worlds');
      const used = pids.reduce((sum, pid, index) => sum + cpuMsOf(pid) - (before[index] ?? 0), 0);
      return {
        players,
        playing: seen.playing,
        decisionP50: world.decisionMs.p50 ?? Number.NaN,
        decisionP99: world.decisionMs.p99 ?? Number.NaN,
        seenP99: quantile(seen.tally.latencies, 0.99),
        tickP99: quantile(ticks, 0.99),
        updatesPerSecond: world.updatesPerSecond,
        cores: used / 1_000 / WATCHED_SECONDS,
        swarmCores: seen.cores,
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

const show = (load: Load) =>
  console.error(
    `${load.players} players: ${load.playing} play; decision p50 ${load.decisionP50.toFixed(1)} ms, p99 ${load.decisionP99.toFixed(1)} ms ` +
      `(the bots saw ${load.seenP99.toFixed(1)}); tick p99 ${load.tickP99.toFixed(1)} ms; ${load.updatesPerSecond} updates/s; ` +
      `server ${load.cores.toFixed(2)} cores (${((load.cores * 1_000) / load.players).toFixed(2)} per thousand), swarm ${load.swarmCores.toFixed(2)}`,
  );

const one = await loaded(100, { columns: 1, rows: 1 });
show(one);
const at = { bare: null, unit: 'ms' };
report({ what: 'one zone, 100 players: decision p99', ours: one.decisionP99, ...at, budget: { kind: '<=', value: 5 } });
report({ what: 'one zone, 100 players: tick p99', ours: one.tickP99, ...at, budget: { kind: '<=', value: 10 } });

const loads: Load[] = [];
for (const players of CROWDS) {
  const load = await loaded(players, { columns: 10, rows: 10 }).catch((error: Error) => {
    console.error(`${players} players: ${error.message}`);
    return null;
  });
  if (!load) break;
  show(load);
  if (load.playing < players || load.decisionP99 > DECISION_MS_MAX) break;
  loads.push(load);
}
const most = loads.at(-1);
const least = loads[0];
if (most && least) {
  const note = `${most.playing.toLocaleString('en')} players, server ${most.cores.toFixed(2)} cores, swarm ${most.swarmCores.toFixed(2)}`;
  report({ what: '100 zones, largest crowd: decision p50', ours: most.decisionP50, ...at, budget: { kind: '<=', value: DECISION_MS_MAX } });
  report({
    what: '100 zones, largest crowd: decision p99',
    ours: most.decisionP99,
    ...at,
    budget: { kind: '<=', value: DECISION_MS_MAX },
    note,
  });
  report({ what: '100 zones, largest crowd: tick p99', ours: most.tickP99, ...at, budget: { kind: '<=', value: 50 } });
  const dearest = Math.max(...loads.slice(1).map(({ cores, players }) => cores / players));
  const first = (loads[1] ?? least).cores / (loads[1] ?? least).players;
  report({
    what: 'cost of a player, dearest crowd of 500 and more against 500',
    ours: dearest * 1_000,
    bare: first * 1_000,
    unit: 'cores per 1,000',
    budget: { kind: '<=', value: 1.2 },
  });
}
process.exit();
