import { defineZone, keyOf, type ZoneAddress, ZoneHost, zoneAddress } from '@millrace/kernel';
import { MemorySpools, openNumbers } from '@millrace/kernel/testing';
import { ConsumerGroup, type Reaction, reactorProjection } from '@millrace/log';
import { reactorOffsets } from '@millrace/module/reactor-offsets';
import { scheduleSnapshots } from '@millrace/snapshots';
import { Machine, Scheduler } from './scheduler.ts';
import { noFaults, type ServiceFaults } from './service-faults.ts';
import { SimulatedLog } from './simulated-log.ts';
import { SimulatedHotStore } from './simulated-stores.ts';

/*
 * A reactor between two topics, each with its own log and machine, with faults by seed: crashes of both sides, unavailable or hung logs, lost responses,
 * lost offsets, retention, commands that make their zone fail. The law: each event of the first log that no operator skipped has its effects in the
 * second log exactly once and in order, and there are no other effects.
 */

const PURSES = ['a', 'b', 'c'].map((key) => zoneAddress('purse', key));
const BOXES = ['x', 'y'].map((key) => zoneAddress('box', key));
const GROUP = 'transfers';
/** Duration of faults, and of the recovery after them, ms. */
const FAULTS_MS = 20_000;
const CALM_MS = 40_000;
const EVENTS = 120;
/** Interval at which an operator skips dropped events and replays dead letters, ms. */
const ROUNDS_MAX = 5;

interface Emitted {
  readonly type: 'Emitted';
  readonly amount: number;
}
interface Put {
  readonly type: 'Put';
  readonly key: string;
  readonly amount: number;
}

const purse = defineZone<{ count: number }, { amount: number }, Emitted>({
  kind: 'purse',
  version: 1,
  create: () => ({ count: 0 }),
  decide: (_state, { amount }, { emit }) => emit({ type: 'Emitted', amount }),
  evolve: (state) => void state.count++,
});

interface PutCommand {
  readonly key: string;
  readonly amount: number;
  readonly isLast: boolean;
}

/** @param isBroken whether a command makes the zone fail */
const box = (isBroken: (command: PutCommand) => boolean) =>
  defineZone<{ puts: number }, PutCommand, Put>({
    kind: 'box',
    version: 1,
    create: () => ({ puts: 0 }),
    decide: (_state, command, { emit, refuse }) => {
      const { key, amount } = command;
      if (isBroken(command)) throw new Error(`${amount} breaks the box`);
      if (isRefused(amount)) return refuse('ODD', `${amount} is not for this box`);
      emit({ type: 'Put', key, amount });
    },
    evolve: (state) => void state.puts++,
    // Fewer than may be delivered again, so that ids alone are not sufficient.
    repliesKept: { number: 3 },
  });

const isRefused = (amount: number) => amount % 7 === 0;
/** The last command of some events, until the box is repaired. */
const breaksAtFirst = ({ amount, isLast }: Pick<PutCommand, 'amount' | 'isLast'>) => amount % 11 === 0 && isLast;

/** Commands that an event leads to: one, or two to different boxes or to the same. */
function reactionsTo(amount: number, zone: ZoneAddress, seq: number): (Reaction & { command: PutCommand })[] {
  const to = (index: number) => BOXES[(amount + index) % BOXES.length] as ZoneAddress;
  const put = (index: number, box: ZoneAddress, isLast: boolean) => ({
    to: box,
    command: { key: `${keyOf(zone)}/${seq}/${index}`, amount, isLast },
  });
  if (amount % 5 === 0) return [put(0, to(0), false), put(1, to(0), true)];
  if (amount % 3 === 0) return [put(0, to(0), false), put(1, to(1), true)];
  return [put(0, to(0), true)];
}

/** A machine with the zones of one topic. A crash loses its memory. */
class Side {
  readonly machine: Machine;
  readonly log = new SimulatedLog();
  readonly #hot = new SimulatedHotStore();
  #spools = new MemorySpools(10_000);
  readonly #definition: Parameters<ZoneHost['register']>[0];
  host: ZoneHost | null = null;

  constructor(name: string, scheduler: Scheduler, definition: Parameters<ZoneHost['register']>[0]) {
    this.machine = new Machine(name, scheduler);
    this.#definition = definition;
  }

  start(zones: readonly ZoneAddress[]): ZoneHost {
    this.machine.start();
    // A process does not see what an earlier one adds to its spools.
    this.#spools = this.#spools.reopened();
    const { machine } = this;
    const hot = this.#hot.for(machine);
    const log = this.log.for(machine, machine.name);
    const cold = { save: async () => {}, list: async () => [], load: () => Promise.reject(new Error('there is none')) };
    const host = new ZoneHost({ log, hot, cold, spools: this.#spools, clock: machine, random: openNumbers });
    scheduleSnapshots(host, machine, { hotEveryMs: 700 });
    host.register(this.#definition);
    this.host = host;
    for (const zone of zones) this.#open(host, zone);
    return host;
  }

  /** @param isWhole otherwise its old reactor continues beside the next one, like a process that was wrongly taken for dead */
  crash(isWhole: boolean): void {
    this.machine.crash();
    this.host = null;
    if (isWhole) this.onCrash();
  }

  onCrash = () => {};

  #open(host: ZoneHost, zone: ZoneAddress): void {
    host.open(zone).catch(() => void this.machine.after(200, () => host === this.host && this.#open(host, zone)));
  }
}

export interface ReactorRun {
  readonly mistakes: readonly string[];
  readonly events: number;
  readonly effects: number;
  readonly deadLetters: number;
  readonly skipped: number;
}

/** One run. The same seed gives the same run. */
export async function simulateReactor(seed: number): Promise<ReactorRun> {
  const scheduler = new Scheduler(seed);
  let isRepaired = false;
  const from = new Side('purses', scheduler, purse);
  const to = new Side(
    'boxes',
    scheduler,
    box((command) => !isRepaired && breaksAtFirst(command)),
  );
  let group: ConsumerGroup | null = null;
  let deadLetters = 0;

  const startTarget = () => {
    const host = to.start([]);
    const log = from.log.for(to.machine, GROUP);
    const projection = reactorProjection({
      reactor: {
        name: GROUP,
        wants: () => true,
        *react(event: Emitted & { seq?: number }, zone) {
          yield* reactionsTo(event.amount, zone, seqOf(event));
        },
      },
      host,
      clock: to.machine,
      ...reactorOffsets(log, GROUP),
    });
    const one = new ConsumerGroup(log, projection, to.machine);
    group = one;
    const start = () => void one.start().catch(() => void to.machine.after(300, () => one === group && start()));
    start();
    to.onCrash = () => from.log.disconnect(to.machine);
  };
  // Amounts are unique, so that an event is known by its amount.
  const seqs = new Map<number, number>();
  const seqOf = ({ amount }: Emitted) => {
    if (!seqs.has(amount)) for (const { batch } of from.log.batches) noteSeqs(batch.firstSeq, batch.events as never, seqs);
    return seqs.get(amount) ?? -1;
  };

  from.start(PURSES);
  startTarget();
  for (let amount = 1; amount <= EVENTS; amount++)
    scheduler.at(scheduler.between(0, FAULTS_MS), () => from.host?.send(scheduler.pick(PURSES), { amount }));
  planFaults(scheduler, from, to, startTarget, () => group);
  await scheduler.runUntil(FAULTS_MS);
  for (const side of [from, to]) Object.assign(side.log.faults, noFaults());
  if (!from.host) from.start(PURSES);
  if (!to.host) startTarget();
  await scheduler.runUntil(FAULTS_MS + CALM_MS / 2);
  isRepaired = true;
  deadLetters = await from.log.for(to.machine, GROUP).deadLetters.count();
  await operate(scheduler, from, to, () => group);
  await scheduler.runUntil(FAULTS_MS + CALM_MS);
  return { ...check(from.log, to.log), deadLetters, skipped: from.log.skippedEvents().size };
}

function noteSeqs(firstSeq: number, events: readonly Emitted[], seqs: Map<number, number>): void {
  for (const [index, { amount }] of events.entries()) seqs.set(amount, firstSeq + index);
}

function planFaults(scheduler: Scheduler, from: Side, to: Side, startTarget: () => void, group: () => ConsumerGroup | null): void {
  const log = (change: Partial<ServiceFaults>) => (side: Side) => {
    Object.assign(side.log.faults, change);
    scheduler.at(scheduler.now + scheduler.between(200, 3_000), () => Object.assign(side.log.faults, noFaults()));
  };
  const crash = (side: Side) => {
    if (!side.host) return;
    side.crash(scheduler.chance(0.7));
    const restart = () => (side === from ? void from.start(PURSES) : startTarget());
    scheduler.at(scheduler.now + scheduler.between(50, 2_000), () => side.host === null && restart());
  };
  const faults = [
    crash,
    crash,
    log({ unavailable: true }),
    log({ hung: true }),
    log({ mute: true }),
    log({ slowMs: 800 }),
    log({ readOnly: true }),
    () => from.log.forgetOffsets(GROUP, Math.floor(scheduler.between(1, 60))),
    () => from.log.dropOldest(),
  ];
  const count = Math.floor(scheduler.between(3, 12));
  for (let index = 0; index < count; index++)
    scheduler.at(scheduler.between(0, FAULTS_MS - 500), () => scheduler.pick(faults)(scheduler.pick([from, to])));
  // From time to time an operator resumes a group that retention has overtaken.
  for (let at = 2_000; at < FAULTS_MS; at += 4_000)
    scheduler.at(
      at,
      () =>
        void group()
          ?.skipDropped()
          .catch(() => {}),
    );
}

/** Final actions of operators: they skip dropped events and replay dead letters, some of them twice. */
async function operate(scheduler: Scheduler, from: Side, to: Side, group: () => ConsumerGroup | null): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    void group()
      ?.skipDropped()
      .catch(() => {});
    await scheduler.runUntil(scheduler.now + 2_000);
  }
  const { deadLetters } = from.log.for(to.machine, GROUP);
  // A zone may be between two owners: then they retry.
  for (let round = 0; round < ROUNDS_MAX && (await deadLetters.count()) > 0; round++)
    for (const { id } of await deadLetters.list(GROUP)) {
      const times = scheduler.chance(0.5) ? 2 : 1;
      for (let time = 0; time < times; time++)
        void group()
          ?.replay(id)
          .catch(() => {});
      await scheduler.runUntil(scheduler.now + 200);
    }
}

/** Compares the effects in the second log with the events in the first. */
function check(from: SimulatedLog, to: SimulatedLog): Pick<ReactorRun, 'mistakes' | 'events' | 'effects'> {
  const mistakes: string[] = [];
  const expected = new Map<string, number>();
  const skipped = from.skippedEvents();
  let events = 0;
  for (const { batch } of from.batches)
    for (const [index, event] of (batch.events as unknown as Emitted[]).entries()) {
      const seq = batch.firstSeq + index;
      events++;
      if (isRefused(event.amount)) continue;
      // A part of the events that were dropped before they were read may have been applied.
      const isSkipped = skipped.has(`${batch.zone} ${seq}`);
      for (const { command } of reactionsTo(event.amount, batch.zone, seq)) expected.set(command.key, isSkipped ? 0 : 1);
    }
  const found = new Map<string, number>();
  const newest = new Map<string, number>();
  for (const { batch } of to.batches) {
    if (batch.loss) mistakes.push(`events of ${batch.zone} were lost`);
    for (const { type, key, amount } of batch.events as unknown as Put[]) {
      if (type !== 'Put') continue;
      found.set(key, (found.get(key) ?? 0) + 1);
      const [purseKey = '', seq = '0'] = key.split('/');
      const source = `${batch.zone} ${purseKey}`;
      if (amount % 11 !== 0) {
        if (Number(seq) < (newest.get(source) ?? 0)) mistakes.push(`${key} overtook what was before it`);
        newest.set(source, Number(seq));
      }
    }
  }
  for (const [key, count] of expected) {
    const times = found.get(key) ?? 0;
    if (times > 1 || times < count) mistakes.push(`${key} has ${times} effects`);
  }
  for (const key of found.keys()) if (!expected.has(key)) mistakes.push(`${key} is an effect of nothing`);
  return { mistakes, events, effects: [...found.values()].reduce((sum, count) => sum + count, 0) };
}
