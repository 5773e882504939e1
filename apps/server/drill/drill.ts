import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { DrillReport, Page, RecoverySource, WorldHostStatus, WorldZoneStatus, ZonePointInTime } from '@millrace/contracts';
import type { Tally } from '../swarm/bot.ts';
import { type Swarm, startSwarm } from '../swarm/swarm.ts';
import { type ServerProcess, startServerIn } from './server-process.ts';

/** Two hosts with ten zones each. */
const COLUMNS = 5;
const ROWS = 4;
const HOSTS = 2;
const MOVES_PER_SECOND = 5;
/** Play before each kill: snapshots of all ages, and none. */
const PLAY_MS_MIN = 500;
const PLAY_MS_MAX = 6_000;
/** Duration of the measurement after a kill. */
const WATCH_SECONDS = 4;
/** Age at which every decision is in the log, ms. */
const RECORDED_MS = 1_000;
const JOIN_MS_MAX = 60_000;
const BACK_MS_MAX = 30_000;
/** How long a drill waits for killed hosts to have their zones again. Failed restarts are repeated after 10 s at most. */
const EVEN_MS_MAX = 60_000;

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Target of each recovery source: all players play again within this time, ms, after the kill of one host or of all. */
const TARGET_MS: Record<RecoverySource, number> = { hot: 2_000, cold: 10_000, replay: 10_000 };
const RECOVER_FROM: Record<RecoverySource, ('hot' | 'cold')[]> = { hot: ['hot', 'cold'], cold: ['cold'], replay: [] };

export interface DrillOrders {
  readonly players: number;
  /** Kills for each recovery source. */
  readonly kills: Readonly<Record<RecoverySource, number>>;
  /** Every host that has zones is killed at the same time, instead of one. */
  readonly allHosts: boolean;
  readonly onProgress: (line: string) => void;
}

type Kill = DrillReport['results'][number]['kills'][number];

/**
 * Kills zone hosts with SIGKILL, in a separate world with bots, and measures for each recovery source the longest time without play (RTO)
 * and the age of the oldest lost command that had a reply (RPO).
 */
export async function drill({ players, kills, allHosts, onProgress }: DrillOrders): Promise<DrillReport> {
  const startedAt = Date.now();
  const results: DrillReport['results'] = [];
  for (const recoverySource of ['hot', 'cold', 'replay'] as const) {
    if (kills[recoverySource] === 0) continue;
    const done = await inOwnWorld(recoverySource, players, (server, swarm) =>
      killRepeatedly(recoverySource, kills[recoverySource], { players, allHosts, onProgress }, server, swarm),
    );
    const rtoMsMax = Math.max(...done.map(({ rtoMs }) => rtoMs));
    results.push({
      recoverySource,
      targetMs: TARGET_MS[recoverySource],
      rtoMsMax,
      rpoMsMax: Math.max(...done.map(({ rpoMs }) => rpoMs)),
      met: rtoMsMax < TARGET_MS[recoverySource] && done.every(({ lost, duplicated }) => lost === 0 && duplicated === 0),
      kills: done,
    });
  }
  return { startedAt, endedAt: Date.now(), players, zones: COLUMNS * ROWS, hosts: HOSTS, results };
}

async function inOwnWorld<T>(
  recoverySource: RecoverySource,
  players: number,
  work: (server: ServerProcess, swarm: Swarm) => Promise<T>,
): Promise<T> {
  const interruption = interrupted();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-drill-'));
  const starting = startServerIn(folder, {
    sources: [],
    worlds: { columns: COLUMNS, rows: ROWS, hosts: HOSTS, tcpPort: 0, recoverFrom: RECOVER_FROM[recoverySource] },
  });
  let swarm: Swarm | null = null;
  const run = async () => {
    const server = await starting;
    swarm = await startSwarm({ server: server.url, players, movesPerSecond: MOVES_PER_SECOND, processes: 1 });
    await swarm.joined(JOIN_MS_MAX);
    return work(server, swarm);
  };
  try {
    return await Promise.race([run(), interruption.signal]);
  } finally {
    (swarm as Swarm | null)?.end();
    await starting.then(
      (server) => server.stop(),
      () => {},
    );
    rmSync(folder, { recursive: true, force: true });
    interruption.ignore();
  }
}

/** Until `ignore`, SIGINT and SIGTERM reject `signal` instead of ending this process: its server would go on without it. */
function interrupted(): { readonly signal: Promise<never>; ignore(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  const received = (name: NodeJS.Signals) =>
    reject(new UserError(`the drill was interrupted by ${name}`, 'It has stored no report. Run it again.'));
  for (const name of SIGNALS) process.on(name, received);
  return {
    signal: promise,
    ignore: () => {
      for (const name of SIGNALS) process.off(name, received);
    },
  };
}

async function killRepeatedly(
  recoverySource: RecoverySource,
  count: number,
  { players, allHosts, onProgress }: Omit<DrillOrders, 'kills'>,
  server: ServerProcess,
  swarm: Swarm,
): Promise<Kill[]> {
  const kills: Kill[] = [];
  if (recoverySource === 'cold') await snapshotAll(server);
  for (let number = 1; number <= count; number++) {
    const playMs = PLAY_MS_MIN + Math.random() * (PLAY_MS_MAX - PLAY_MS_MIN);
    await new Promise((resolve) => setTimeout(resolve, playMs));
    const hosts = await victims(server, allHosts);
    const zones = (await zonesOf(server)).filter((zone) => hosts.some(({ id }) => id === zone.host));
    const watched = swarm.watch(WATCH_SECONDS);
    const at = Date.now();
    for (const { pid } of hosts) process.kill(pid, 'SIGKILL');
    let { tally } = await watched;
    const deadline = Date.now() + BACK_MS_MAX;
    // Continues while zones are closed: players without play would otherwise be measured too short.
    for (let open = await zonesOpen(server); open < COLUMNS * ROWS && Date.now() < deadline; open = await zonesOpen(server)) {
      const more = await swarm.watch(WATCH_SECONDS);
      tally = joined(tally, more.tally);
    }
    const { lost, duplicated } = await countPlayers(server, players);
    const kill: Kill = {
      killedAt: at,
      host: hosts.map(({ id }) => id).join(', '),
      zones: zones.length,
      players: zones.reduce((sum, { sessions }) => sum + sessions, 0),
      rtoMs: Math.round(tally.silenceMsMax),
      rpoMs: tally.undone === 0 ? 0 : Math.round(Math.max(0, at - tally.undoneSince)),
      undone: tally.undone,
      lost,
      duplicated,
    };
    kills.push(kill);
    onProgress(
      `${recoverySource} ${number}/${count}: ${kill.host} with ${kill.zones} zones and ${kill.players} players; silent ${kill.rtoMs} ms at most, ` +
        `${kill.undone} accepted commands lost, ${lost} players lost, ${duplicated} duplicated`,
    );
  }
  return kills;
}

function joined(first: Tally, second: Tally): Tally {
  return {
    ...first,
    silenceMsMax: Math.max(first.silenceMsMax, second.silenceMsMax),
    undone: first.undone + second.undone,
    undoneSince: Math.min(first.undoneSince, second.undoneSince),
  };
}

/**
 * Hosts to kill: one host with zones, or all. Waits until the zones are evenly distributed.
 * @throws Error when they are not within `msMax`
 */
export async function victims(server: Pick<ServerProcess, 'url'>, all: boolean, msMax = EVEN_MS_MAX): Promise<WorldHostStatus[]> {
  for (const deadline = Date.now() + msMax; ; ) {
    const hosts = ((await read(server, '/world/hosts')) as Page<WorldHostStatus>).data.filter(({ open }) => open > 0);
    const evenly = hosts.length === HOSTS && hosts.every(({ open }) => open === (COLUMNS * ROWS) / HOSTS);
    const chosen = hosts[Math.floor(Math.random() * hosts.length)];
    if (evenly && chosen) return all ? hosts : [chosen];
    if (Date.now() > deadline)
      throw new Error(
        `The drill was ended: after ${msMax / 1_000} s, the ${COLUMNS * ROWS} zones are not evenly on ${HOSTS} hosts ` +
          `(${hosts.map(({ id, open }) => `${id}: ${open}`).join(', ') || 'no host has an open zone'}). Run it again with more free memory and CPU.`,
      );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function zonesOpen(server: ServerProcess): Promise<number> {
  return ((await read(server, '/world')) as { zonesOpen: number }).zonesOpen;
}

async function zonesOf(server: ServerProcess): Promise<WorldZoneStatus[]> {
  return ((await read(server, '/world/zones?limit=1000')) as Page<WorldZoneStatus>).data;
}

async function snapshotAll(server: ServerProcess): Promise<void> {
  for (const { zone } of await zonesOf(server)) {
    await fetch(`${server.url}/api/v1/world/zones/${zone}/snapshots`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ store: 'cold' }),
    });
  }
}

/**
 * Counts every player over all zones: each must be in exactly one, or in transit. Reads all zones at the same point in time, because players
 * cross borders during the requests.
 */
async function countPlayers(server: ServerProcess, players: number): Promise<{ lost: number; duplicated: number }> {
  const counts = new Map<string, number>();
  const time = Date.now() - RECORDED_MS;
  for (let column = 0; column < COLUMNS; column++)
    for (let row = 0; row < ROWS; row++) {
      const zone = (await read(server, `/world/zones/${column}-${row}?time=${time}`)) as ZonePointInTime;
      for (const { id } of zone.players) counts.set(id, (counts.get(id) ?? 0) + 1);
      // A player in transit counts in the zone that it left, unless another zone has it.
      for (const id of zone.inTransit) if (!counts.has(id)) counts.set(id, 0);
    }
  const duplicated = [...counts.values()].filter((count) => count > 1).length;
  return { lost: Math.max(0, players - counts.size), duplicated };
}

async function read(server: Pick<ServerProcess, 'url'>, path: string): Promise<unknown> {
  for (let tries = 0; ; tries++) {
    const response = await fetch(`${server.url}/api/v1${path}`);
    if (response.ok) return response.json();
    if (tries > 100) throw new Error(`${path} returned ${response.status}: ${await response.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
