import { createHash } from 'node:crypto';
import { checkWorld } from './checks.ts';
import { Cluster } from './cluster.ts';
import { FAULTS, type FaultName as ServiceFaultName } from './faults.ts';
import { Interventions } from './interventions.ts';
import { BROKER_FAULT_NAMES, BROKER_FAULTS, type BrokerFaultName } from './kafka/world-faults.ts';
import { Operator } from './operator.ts';
import { checkPast, checkRefusals } from './past-checks.ts';
import { SimulatedPlayer } from './player.ts';
import { Scheduler } from './scheduler.ts';

type FaultName = ServiceFaultName | BrokerFaultName;

const ALL_FAULTS = { ...FAULTS, ...BROKER_FAULTS };

/** Duration of faults, and of the recovery after them, ms. */
const TROUBLED_MS = 20_000;
const HEALING_MS = 14_000;
const QUIET_MS = 4_000;
/** Mean time between two faults, and maximum duration of a fault, ms. */
const BETWEEN_FAULTS_MS = 900;
const FAULT_MS_MOST = 5_000;
const PLAYERS = 6;

/** Faults that lose, duplicate or reorder messages of hosts to players, which are not repeated. */
const LOSES_FRAMES: readonly FaultName[] = ['network-bad', 'network-cut', 'observer-throws'];

/** Actions of operators that change positions and bags of players. */
const EDITS: readonly FaultName[] = ['operator-restore', 'operator-edit', 'death-at-border'];
/** Queries of the past per zone after the recovery. */
const LAST_QUESTIONS = 4;

export interface Outcome {
  readonly seed: number;
  /** Violations; empty for a correct run. */
  readonly mistakes: readonly string[];
  /** Hash of the whole log: equal for equal seeds. */
  readonly fingerprint: string;
  /** Trace of faults and messages. */
  readonly story: readonly string[];
  readonly stats: { readonly events: number; readonly accepted: number; readonly claims: number };
}

/** Number of kinds of faults per run. With few kinds, each occurs often and overlaps with itself and the others (swarm testing). */
const KINDS = [2, 4, 8, 16, 64];

function someOf(all: readonly FaultName[], scheduler: Scheduler): FaultName[] {
  const left = [...all];
  const some: FaultName[] = [];
  for (let count = Math.min(scheduler.pick(KINDS), all.length); count > 0; count--) {
    const name = scheduler.pick(left);
    some.push(name);
    left.splice(left.indexOf(name), 1);
  }
  // A snapshot that is damaged after retention has dropped its events cannot be replaced.
  return some.includes('cold-corrupt') ? some.filter((name) => name !== 'log-retention-by-age') : some;
}

/** Every how many seeds hosts keep standby copies of the zones of other hosts. */
const STANDBYS_EVERY = 5;

/**
 * Runs the world with faults of the kinds that the seed selects.
 * @param isOnKafka whether its log is a topic on simulated brokers, which have faults of their own, too, unless `faults` is empty
 */
export async function simulate(seed: number, faults: readonly ServiceFaultName[], { isOnKafka = false } = {}): Promise<Outcome> {
  const scheduler = new Scheduler(seed);
  const names = someOf(isOnKafka && faults.length > 0 ? [...faults, ...BROKER_FAULT_NAMES] : faults, scheduler);
  const cluster = new Cluster(scheduler, scheduler.pick([1, 2, 3]), { hasStandbys: seed % STANDBYS_EVERY === 0, isOnKafka });
  const access = { server: cluster.server, gateway: () => cluster.gateway };
  const operator = new Operator(cluster);
  const interventions = new Interventions(cluster);
  const circumstances = {
    areFramesLost: names.some((name) => LOSES_FRAMES.includes(name)),
    areClocksSet: names.includes('clock-jump'),
    areEdited: names.some((name) => EDITS.includes(name)),
  };
  const players = Array.from(
    { length: PLAYERS },
    (_none, index) => new SimulatedPlayer(`p${index + 1}`, scheduler, access, { isStubborn: index % 2 === 0, ...circumstances }),
  );
  const recoveries = new Set<() => void>();

  const strike = () => {
    scheduler.at(scheduler.now - Math.log(1 - scheduler.between(0, 1)) * BETWEEN_FAULTS_MS, () => {
      if (scheduler.now >= TROUBLED_MS) return;
      strike();
      const name = scheduler.pick(names);
      const end = ALL_FAULTS[name](cluster, players, interventions);
      cluster.note(`fault ${name}`);
      if (!end) return;
      const recover = () => {
        if (!recoveries.delete(recover)) return;
        cluster.note(`end of ${name}`);
        end();
      };
      recoveries.add(recover);
      scheduler.at(scheduler.now + scheduler.between(50, FAULT_MS_MOST), recover);
    });
  };
  if (names.length > 0) strike();
  await scheduler.runUntil(TROUBLED_MS);
  for (const recover of [...recoveries]) recover();
  for (const host of cluster.hosts) if (!host.machine.isUp) cluster.startHost(host);
  await scheduler.runUntil(TROUBLED_MS + HEALING_MS);
  const healed = players.map((player) => player.acceptedAt);
  for (const player of players) player.isActing = false;
  operator.isActing = false;
  await scheduler.runUntil(TROUBLED_MS + HEALING_MS + QUIET_MS);
  const mistakes = await checkWorld(cluster, players, operator, circumstances, (work) => answered(scheduler, work));
  await askForPast(cluster, interventions, names, (work) => answered(scheduler, work), mistakes);
  checkPast(cluster, interventions, circumstances, mistakes);
  for (const [index, at] of healed.entries())
    if (at < TROUBLED_MS) mistakes.push(`p${index + 1} had no command accepted in the ${HEALING_MS} ms after all was well again`);
  return {
    seed,
    mistakes,
    fingerprint: fingerprintOf(cluster),
    story: cluster.story,
    stats: {
      events: cluster.log.batches.reduce((sum, { batch }) => sum + batch.events.length, 0),
      accepted: players.reduce((sum, player) => sum + player.accepted, 0),
      claims: cluster.log.claims.size,
    },
  };
}

/** Queries the past of each zone after the recovery: all states of the listed range must be returned. A damaged snapshot is still listed. */
async function askForPast(
  cluster: Cluster,
  interventions: Interventions,
  names: readonly FaultName[],
  settled: <T>(work: Promise<T>) => Promise<T>,
  mistakes: string[],
): Promise<void> {
  if (!names.includes('past-question')) return;
  for (const zone of cluster.zones) {
    const range = await settled(interventions.range(zone));
    const before = interventions.refused.length;
    for (let count = 0; count < LAST_QUESTIONS; count++) await settled(interventions.ask(zone));
    const isWhole = !names.includes('cold-corrupt') && !names.includes('clock-jump');
    if (range && isWhole) checkRefusals(cluster, zone, range, interventions.refused.slice(before), mistakes);
  }
}

/** Advances time until a promise of the simulation is settled. */
async function answered<T>(scheduler: Scheduler, work: Promise<T>): Promise<T> {
  let isDone = false;
  void work.finally(() => {
    isDone = true;
  });
  while (!isDone) await scheduler.runUntil(scheduler.now + 50);
  return work;
}

function fingerprintOf({ log }: Cluster): string {
  const hash = createHash('sha256');
  for (const { batch, by } of log.batches) hash.update(`${by} ${JSON.stringify(batch)}\n`);
  return hash.digest('hex');
}
