import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { PlayerToken, World } from '@millrace/contracts';
import { newTally, type Tally } from './bot.ts';
import type { FlockOrders, FlockReport } from './flock.ts';

const FLOCK = join(import.meta.dirname, 'flock.ts');
/** Concurrent token requests. */
const CONCURRENT_REQUESTS = 32;
const JOINS_PER_SECOND = 1_000;

export interface SwarmOrders {
  readonly server: string;
  readonly players: number;
  readonly movesPerSecond: number;
  readonly processes: number;
  /** API key with the scope world:play; not needed in demo mode. */
  readonly key?: string;
}

interface SwarmReport {
  readonly playing: number;
  readonly seconds: number;
  readonly tally: Tally;
  /** CPU of all bot processes over that time, in cores. */
  readonly cores: number;
}

export interface Swarm {
  /** Resolves when every bot plays, or rejects when they do not within `ms`. */
  joined(ms: number): Promise<void>;
  /** Sums over the next `seconds`. */
  watch(seconds: number): Promise<SwarmReport>;
  readonly playing: number;
  end(): void;
}

/** Starts bots in separate processes. Rejects if the server refuses a player. */
export async function startSwarm({ server, players, movesPerSecond, processes, key }: SwarmOrders): Promise<Swarm> {
  const world = (await request(`${server}/api/v1/world`, key)) as World;
  const tokens: string[] = [];
  while (tokens.length < players) {
    const count = Math.min(CONCURRENT_REQUESTS, players - tokens.length);
    const created = await Promise.all(
      Array.from({ length: count }, (_none, index) =>
        request(`${server}/api/v1/world/players`, key, { name: `Bot ${tokens.length + index + 1}` }),
      ),
    );
    tokens.push(...(created as PlayerToken[]).map(({ token }) => token));
  }
  const host = new URL(server).hostname;
  let reports: FlockReport[] = [];
  const playing = new Map<ChildProcess, number>();
  let onReport: () => void = () => {};
  const flocks = Array.from({ length: processes }, (_none, index) => {
    const child = fork(FLOCK, { serialization: 'advanced' });
    child.on('message', (report: FlockReport) => {
      playing.set(child, report.playing);
      reports.push(report);
      onReport();
    });
    const mine = tokens.filter((_token, at) => at % processes === index);
    child.send({
      host,
      port: world.tcpPort,
      tokens: mine,
      movesPerSecond,
      joinsPerSecond: JOINS_PER_SECOND / processes,
    } satisfies FlockOrders);
    return child;
  });
  const all = () => [...playing.values()].reduce((sum, one) => sum + one, 0);
  return {
    get playing() {
      return all();
    },
    joined: (ms) =>
      new Promise((resolve, reject) => {
        const timeout = setTimeout(() => reject(new Error(`${all()} of ${players} bots play after ${ms} ms`)), ms);
        onReport = () => {
          if (all() < players) return;
          clearTimeout(timeout);
          onReport = () => {};
          resolve();
        };
      }),
    watch: (seconds) =>
      new Promise((resolve) => {
        reports = [];
        setTimeout(() => resolve(summed(reports, all(), seconds)), seconds * 1_000);
      }),
    end: () => {
      for (const flock of flocks) flock.disconnect();
    },
  };
}

function summed(reports: readonly FlockReport[], playing: number, seconds: number): SwarmReport {
  const tally = newTally();
  let cpuMs = 0;
  for (const { tally: part, cpuMs: used } of reports) {
    cpuMs += used;
    tally.frames += part.frames;
    tally.bytes += part.bytes;
    tally.moves += part.moves;
    tally.accepted += part.accepted;
    tally.drops += part.drops;
    tally.zones += part.zones;
    tally.undone += part.undone;
    tally.undoneSince = Math.min(tally.undoneSince, part.undoneSince);
    tally.silenceMsMax = Math.max(tally.silenceMsMax, part.silenceMsMax);
    for (const [code, count] of Object.entries(part.refused)) tally.refused[code] = (tally.refused[code] ?? 0) + count;
    for (const latency of part.latencies) tally.latencies.push(latency);
  }
  return { playing, seconds, tally, cores: cpuMs / 1_000 / seconds };
}

async function request(url: string, key: string | undefined, body?: object): Promise<unknown> {
  const headers = { ...(key !== undefined && { 'x-api-key': key }), ...(body && { 'content-type': 'application/json' }) };
  const response = await fetch(url, { headers, ...(body && { method: 'POST', body: JSON.stringify(body) }) });
  if (!response.ok) throw new Error(`${url} returned ${response.status}: ${await response.text()}`);
  return response.json();
}
