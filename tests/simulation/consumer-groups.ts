import type { EventBatch, ZoneAddress } from '@millrace/kernel';
import type { ConsumerGroup } from '@millrace/log';
import { GROUP, isPoison, PARTITIONS, SharedGroup, ZONES } from './group-members.ts';
import { Machine, Scheduler } from './scheduler.ts';

/*
 * Processes that share a consumer group, under a history of faults. The laws: each event is applied or a dead letter, once and in order; no two members have
 * a partition in one generation; generations and noted offsets never go back; and some time after the last fault, the living members have all partitions.
 */

export const MEMBERS = 4;
/** Duration of faults, ms. */
export const FAULTS_MS = 25_000;
/** Time after which the partitions must be divided: a request to a slow database, a retry to join, a lease, and some heartbeats, ms. */
const DIVIDED_MS_MAX = 24_000;
/** Time after which everything must be applied, ms. */
const APPLIED_MS_MAX = 15_000;
const BATCHES = 160;
const EVENTS_MAX = 3;

export interface GroupAction {
  /** Time, ms. */
  readonly at: number;
  readonly member: number;
  readonly kind: 'start' | 'stop' | 'crash' | 'pause' | 'database' | 'slow' | 'cut';
  /** Duration of a pause or another fault, ms. */
  readonly ms: number;
}

export interface GroupRun {
  readonly mistakes: readonly string[];
  readonly counts: SharedGroup['counts'] & { readonly dead: number };
}

interface Process {
  readonly machine: Machine;
  running: { readonly name: string; readonly group: ConsumerGroup } | null;
  /** Number of crashes before a stop that has not ended: the next process of the machine begins after it. */
  stopping: number | null;
}

/** One run. The same arguments give the same run. */
export async function simulateGroup(seed: number, actions: readonly GroupAction[]): Promise<GroupRun> {
  const scheduler = new Scheduler(seed);
  const shared = new SharedGroup(scheduler);
  const processes: Process[] = Array.from({ length: MEMBERS }, (_none, index) => ({
    machine: new Machine(`member-${index}`, scheduler),
    running: null,
    stopping: null,
  }));
  let runs = 0;
  const start = (process: Process) => {
    if (process.running || process.stopping === process.machine.life) return;
    if (!process.machine.isUp) process.machine.start();
    const name = `${process.machine.name}#${runs++}`;
    const group = shared.member(process.machine, name);
    process.running = { name, group };
    void group.start();
  };
  const act: Record<GroupAction['kind'], (process: Process, ms: number) => void> = {
    start,
    stop: (process) => {
      const { life } = process.machine;
      if (process.running) process.stopping = life;
      void process.running?.group.stop().then(() => {
        if (process.stopping === life) process.stopping = null;
      });
      process.running = null;
    },
    crash: (process) => {
      process.machine.crash();
      process.running = null;
    },
    pause: ({ machine }, ms) => {
      machine.pause();
      scheduler.at(scheduler.now + ms, () => machine.resume());
    },
    database: (_process, ms) => {
      shared.isUp = false;
      scheduler.at(scheduler.now + ms, () => {
        shared.isUp = true;
      });
    },
    slow: (_process, ms) => {
      shared.isSlow = true;
      scheduler.at(scheduler.now + ms, () => {
        shared.isSlow = false;
      });
    },
    cut: ({ machine }, ms) => {
      shared.cut.add(machine);
      scheduler.at(scheduler.now + ms, () => shared.cut.delete(machine));
    },
  };
  planAppends(scheduler, shared);
  for (const { at, member, kind, ms } of actions) scheduler.at(at, () => act[kind](processes[member % MEMBERS] as Process, ms));
  await scheduler.runUntil(FAULTS_MS);
  Object.assign(shared, { isUp: true, isSlow: false, hasFaults: false });
  shared.cut.clear();
  for (const { machine } of processes) machine.resume();
  const [first] = processes;
  if (first && processes.every(({ running }) => running === null)) {
    act.crash(first, 0);
    start(first);
  }
  const living = processes.flatMap(({ running }) => (running ? [running] : []));
  await scheduler.runUntil(FAULTS_MS + DIVIDED_MS_MAX);
  const mistakes = [
    ...divisionMistakes(
      shared,
      living.map(({ name }) => name),
    ),
  ];
  const waiting = new Set(living.map(({ name }) => name));
  for (const { name, group } of living) void group.caughtUp().then(() => waiting.delete(name));
  await scheduler.runUntil(FAULTS_MS + DIVIDED_MS_MAX + APPLIED_MS_MAX);
  for (const name of waiting) mistakes.push(`${name} waits for events of others`);
  const stats = living.map(({ group }) => group.stats());
  for (const { lag, failure } of stats)
    if (lag > 0 || failure !== null) mistakes.push(`a member has the lag ${lag} and the failure ${failure}`);
  const counts = { ...shared.counts, dead: shared.dead.length };
  return { mistakes: [...shared.mistakes, ...mistakes, ...eventMistakes(shared)], counts };
}

function planAppends(scheduler: Scheduler, shared: SharedGroup): void {
  const seqs = new Map<ZoneAddress, number>();
  for (let count = 0; count < BATCHES; count++)
    scheduler.at(scheduler.between(0, FAULTS_MS + DIVIDED_MS_MAX), () => {
      const zone = scheduler.pick(ZONES);
      const firstSeq = (seqs.get(zone) ?? 0) + 1;
      const events = Array.from({ length: Math.ceil(scheduler.between(0, EVENTS_MAX)) }, () => ({ type: 'Counted' }));
      seqs.set(zone, firstSeq + events.length - 1);
      shared.append({ zone, epoch: 1, firstSeq, version: 1, time: 1, events, metas: null });
    });
}

/** Whether the living members have all partitions, and know it. */
function* divisionMistakes(shared: SharedGroup, living: readonly string[]): Generator<string> {
  const { partitions } = shared.groups.stateOf(GROUP);
  const numbers = new Map(living.map((name) => [name, 0]));
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const owner = partitions[partition]?.owner ?? 'nobody';
    if (!numbers.has(owner)) yield `partition ${partition} belongs to ${owner}`;
    else if (!shared.believedBy(owner).includes(partition)) yield `${owner} does not read its partition ${partition}`;
    numbers.set(owner, (numbers.get(owner) ?? 0) + 1);
  }
  if (Math.max(...numbers.values()) - Math.min(...numbers.values()) > 1) yield `the numbers differ: ${[...numbers.values()]}`;
}

/** Whether each event of the log is applied or a dead letter, once, and in the order of its zone. */
function* eventMistakes(shared: SharedGroup): Generator<string> {
  const seqsOf = (batch: EventBatch) => batch.events.map((_event, index) => `${batch.zone} ${batch.firstSeq + index}`);
  for (const zone of ZONES) {
    const batches = shared.partitions.flat().flatMap(({ batch }) => (batch.zone === zone ? [batch] : []));
    const isOf = (row: string) => row.startsWith(`${zone} `);
    const lists = {
      row: [shared.rows, batches.filter((batch) => !isPoison(batch))],
      'dead letter': [shared.dead, batches.filter(isPoison)],
    } as const;
    for (const [what, [found, due]] of Object.entries(lists)) {
      const [has, wants] = [found.filter(isOf), due.flatMap(seqsOf)];
      if (String(has) !== String(wants)) yield `${zone} has the ${what}s ${has}, not ${wants}`;
    }
  }
  for (const [partition, all] of shared.partitions.entries()) {
    const end = all.at(-1)?.next ?? 0;
    if ((shared.noted[partition] ?? 0) !== end) yield `partition ${partition} is noted up to ${shared.noted[partition]}, not ${end}`;
  }
}
