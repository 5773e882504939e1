import type { Machine, Scheduler } from '../scheduler.ts';
import type { LeaseService } from './shard-owner.ts';
import { noKafkaFaults, type SimulatedKafka } from './simulated-kafka.ts';

interface Faulty {
  readonly scheduler: Scheduler;
  readonly kafka: SimulatedKafka;
  readonly leases: LeaseService;
}

/** A process on a machine that can crash. */
interface FaultyProcess {
  readonly machine: Machine;
  crash(): void;
  start(): void;
}

/**
 * Sets faults of brokers, leases and machines at random times up to `endMs`, each for a while.
 * @param ofMachines whether the clocks of the machines are set, too, and their connections to the brokers cut
 * @returns function that ends those that are left; machines that are down stay down
 */
export function plantBrokerFaults(
  { scheduler, kafka, leases }: Faulty,
  processes: readonly FaultyProcess[],
  endMs: number,
  ofMachines = false,
): () => void {
  const { faults } = kafka;
  if (scheduler.chance(0.4)) faults.producerExpiryMs = scheduler.between(60, 1_000);
  if (scheduler.chance(0.3)) faults.producerEpochsMax = 2;
  const kinds: (() => () => void)[] = [
    () => set(faults, 'lostRequests', scheduler.between(0.02, 0.4), 0),
    () => set(faults, 'lostResponses', scheduler.between(0.02, 0.4), 0),
    () => set(faults, 'repeatedRequests', scheduler.between(0.05, 0.5), 0),
    () => set(faults, 'lateRequests', scheduler.between(0.02, 0.4), 0),
    () => set(leases, 'isForgetful', true, false),
    () => paused(scheduler.pick(kafka.brokers)),
    () => paused(kafka.leader),
    () => paused(scheduler.pick(processes).machine),
    () => {
      const broker = scheduler.chance(0.7) ? kafka.leader : scheduler.pick(kafka.brokers);
      broker.crash();
      return () => broker.start();
    },
    () => {
      const process = scheduler.pick(processes);
      process.crash();
      return () => void (process.machine.isUp || process.start());
    },
    () => offset(scheduler.pick(kafka.brokers), scheduler.between(-2_000, 2_000)),
  ];
  if (ofMachines)
    kinds.push(
      () => offset(scheduler.pick(processes).machine, scheduler.between(-3_000, 3_000)),
      () => cutOff({ scheduler, kafka, leases }, scheduler.pick(processes).machine),
      () => cutOff({ scheduler, kafka, leases }, scheduler.pick(processes).machine),
    );
  const next = () => {
    if (scheduler.now > endMs) return;
    const end = scheduler.pick(kinds)();
    scheduler.at(scheduler.now + scheduler.between(20, 1_200), end);
    scheduler.at(scheduler.now + scheduler.between(10, 500), next);
  };
  scheduler.at(200, next);
  return () => {
    const { producerEpochsMax } = faults;
    Object.assign(faults, noKafkaFaults(), { producerEpochsMax });
    leases.isForgetful = false;
    kafka.cutOff.clear();
    for (const broker of kafka.brokers) {
      broker.offsetMs = 0;
      if (broker.isUp) broker.resume();
      else broker.start();
    }
    for (const { machine } of processes) {
      machine.offsetMs = 0;
      if (machine.isUp) machine.resume();
    }
  };
}

/** @returns function that sets the neutral value again, not the one before: faults of one kind may overlap */
function set<K extends string, V>(object: Record<K, V>, name: K, value: V, neutral: V): () => void {
  object[name] = value;
  return () => {
    object[name] = neutral;
  };
}

function paused(machine: Machine): () => void {
  machine.pause();
  return () => machine.resume();
}

function offset(machine: Machine, ms: number): () => void {
  machine.offsetMs = ms;
  return () => {
    machine.offsetMs = 0;
  };
}

/** Cuts a machine off from the brokers, so long that it gives its writer up, while its lease may be granted to others. */
function cutOff({ scheduler, kafka, leases }: Faulty, machine: Machine): () => void {
  kafka.cutOff.add(machine);
  leases.isForgetful = true;
  scheduler.at(scheduler.now + scheduler.between(500, 5_000), () => {
    kafka.cutOff.delete(machine);
    leases.isForgetful = false;
  });
  return () => {};
}
