import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorldPlan } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { allZones } from '@millrace/worlds';
import type { FlockOrders, FlockReport } from '../../apps/server/swarm/flock.ts';
import { type SmallWorld, startSmallWorld } from './small-world.ts';
import type { FromTables, ToTables } from './tables-process.ts';

const REPOSITORY = join(import.meta.dirname, '..', '..');
const FLOCK = join(REPOSITORY, 'apps', 'server', 'swarm', 'flock.ts');
const TABLES = join(import.meta.dirname, 'tables-process.ts');

const SERVICES = ['log', 'hot', 'cold', 'database'] as const;
type Service = (typeof SERVICES)[number];

interface Outage {
  readonly service: Service;
  /** Reply times of moves, measured by the bots, ms: before, during and after the outage. */
  readonly before: readonly number[];
  readonly during: readonly number[];
  readonly after: readonly number[];
}

interface OutageReport {
  readonly outages: readonly Outage[];
  /** Rows of players that differ from the zones. */
  readonly differences: readonly string[];
  readonly players: number;
  /** Events that were lost because they could not be stored. */
  readonly lostEvents: number;
}

/**
 * Stops and restarts the log, the hot store, the cold store and the database, one after another, while bots play. Compares the tables with the zones at
 * the end.
 */
export async function stopEachInTurn(plan: WorldPlan, players: number, calmMs: number, outageMs: number): Promise<OutageReport> {
  const away = new Set<Service>();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-outages-'));
  const world = await startSmallWorld(plan, {}, ({ log, hot, cold }) => ({
    log: reachable(log, () => !away.has('log')),
    hot: reachable(hot, () => !away.has('hot')),
    cold: reachable(cold, () => !away.has('cold')),
  }));
  const tables = fork(TABLES, { serialization: 'advanced' });
  const ended = once(tables, 'exit');
  const told = (message: ToTables) => {
    const answer = once(tables, 'message');
    tables.send(message);
    const failure = ended.then(([code]) => Promise.reject(new Error(`the process of the tables ended with ${code}`)));
    return Promise.race([answer, failure]) as Promise<[FromTables]>;
  };
  await told({ log: join(world.folder, 'log'), tables: join(folder, 'tables') });
  const flock = fork(FLOCK, { serialization: 'advanced' });
  try {
    const bots = await playWith(flock, world, players);
    const outages: Outage[] = [];
    for (const service of SERVICES) {
      const before = await bots.latencies(calmMs);
      if (service === 'database') tables.send('away' satisfies ToTables);
      else away.add(service);
      const during = await bots.latencies(outageMs);
      if (service === 'database') tables.send('back' satisfies ToTables);
      else away.delete(service);
      outages.push({ service, before, during, after: await bots.latencies(calmMs) });
    }
    flock.disconnect();
    await until(() => world.gateway.stats().sessions === 0, 'everyone is gone', 30_000);
    await until(() => allZones(plan).every((zone) => world.state(zone).awake === 0), 'everyone is asleep', 30_000);
    for (const host of world.hosts) await host.flushed();
    await until(() => world.hosts.every((host) => host.stats().outbox.mode === 'flowing'), 'all is in the log', 30_000);
    const [rows] = await told('players');
    return {
      outages,
      differences: differencesOf(world, plan, rows),
      players,
      lostEvents: world.hosts.reduce((sum, host) => sum + host.stats().outbox.lostEvents, 0),
    };
  } finally {
    if (flock.connected) flock.disconnect();
    if (tables.connected) tables.disconnect();
    await ended;
    await world.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A proxy of an object whose asynchronous methods fail during an outage. */
function reachable<T extends object>(thing: T, isReachable: () => boolean): T {
  return new Proxy(thing, {
    get(target, name) {
      const member = Reflect.get(target, name, target) as unknown;
      if (typeof member !== 'function' || !ASKED.has(String(name))) return typeof member === 'function' ? member.bind(target) : member;
      return (...args: unknown[]) => (isReachable() ? member.apply(target, args) : Promise.reject(new Error('it is unavailable')));
    },
  });
}

/** Methods that call a service. */
const ASKED: ReadonlySet<string> = new Set(['own', 'readFrom', 'save', 'list', 'load', 'apply', 'offsets']);

async function playWith(flock: ChildProcess, world: SmallWorld, players: number) {
  const tokens = await Promise.all(Array.from({ length: players }, (_none, index) => world.token(`bot-${index}`)));
  let reports: FlockReport[] = [];
  let playing = 0;
  flock.on('message', (report: FlockReport) => {
    playing = report.playing;
    reports.push(report);
  });
  flock.send({ host: '127.0.0.1', port: world.port, tokens, movesPerSecond: 2, joinsPerSecond: 200 } satisfies FlockOrders);
  await until(() => playing === players, 'all bots play', 30_000);
  return {
    latencies: async (ms: number): Promise<number[]> => {
      reports = [];
      await new Promise((resolve) => setTimeout(resolve, ms));
      return reports.flatMap(({ tally }) => tally.latencies);
    },
  };
}

function differencesOf(world: SmallWorld, plan: WorldPlan, answer: FromTables): string[] {
  const rows = answer === 'ready' ? [] : answer.players;
  const truth = new Map<string, string>();
  for (const zone of allZones(plan))
    for (const { id, name, position, health, presence, violations, bag } of Object.values(world.state(zone).players))
      truth.set(
        id,
        JSON.stringify([name, zone, position.x, position.y, health.points, presence.session !== '', violations.total, bag.items]),
      );
  const differences: string[] = [];
  for (const { id, name, zone, x, y, health, awake, violations, bag } of rows) {
    const row = JSON.stringify([name, zone, x, y, health, awake, violations, bag]);
    if (row !== truth.get(id)) differences.push(`${id}: ${row} in the table, ${truth.get(id)} in the zone`);
    truth.delete(id);
  }
  for (const id of truth.keys()) differences.push(`${id}: in no table`);
  return differences;
}
