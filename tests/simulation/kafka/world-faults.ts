import type { Cluster } from '../cluster.ts';
import type { KafkaFaults } from './simulated-kafka.ts';

/** Starts a fault. @returns function that ends it, if necessary */
type BrokerFault = (cluster: Cluster) => (() => void) | null;

/** Sets a share or a limit of the brokers of one shard for a while. @returns function that sets the neutral value again: faults of one kind may overlap */
function share(name: keyof KafkaFaults, least: number, most: number): BrokerFault {
  return ({ scheduler, kafkas }) => {
    const { faults } = scheduler.pick(kafkas);
    faults[name] = scheduler.between(least, most);
    return () => {
      faults[name] = 0;
    };
  };
}

/** Faults of the brokers of a simulated world whose log is in Kafka. */
export const BROKER_FAULTS = {
  'broker-requests-lost': share('lostRequests', 0.02, 0.3),
  'broker-responses-lost': share('lostResponses', 0.02, 0.3),
  'broker-requests-repeated': share('repeatedRequests', 0.05, 0.5),
  'broker-requests-late': share('lateRequests', 0.02, 0.3),
  'broker-pause': ({ scheduler, kafkas }) => {
    const kafka = scheduler.pick(kafkas);
    const broker = scheduler.chance(0.6) ? kafka.leader : scheduler.pick(kafka.brokers);
    if (!broker.isUp) return null;
    broker.pause();
    return () => broker.resume();
  },
  'broker-crash': ({ scheduler, kafkas }) => {
    const kafka = scheduler.pick(kafkas);
    const broker = scheduler.chance(0.6) ? kafka.leader : scheduler.pick(kafka.brokers);
    if (!broker.isUp) return null;
    broker.crash();
    return () => broker.start();
  },
  // A host that the brokers do not hear, and that keeps its lease.
  'broker-cut-off': ({ scheduler, kafkas, hosts }) => {
    const { machine } = scheduler.pick(hosts);
    for (const kafka of kafkas) kafka.cutOff.add(machine);
    return () => {
      for (const kafka of kafkas) kafka.cutOff.delete(machine);
    };
  },
  'broker-forgets-producers': ({ scheduler, kafkas }) => {
    const { faults } = scheduler.pick(kafkas);
    faults.producerExpiryMs = scheduler.between(60, 1_000);
    return () => {
      faults.producerExpiryMs = Number.POSITIVE_INFINITY;
    };
  },
} as const satisfies Record<string, BrokerFault>;

export type BrokerFaultName = keyof typeof BROKER_FAULTS;
export const BROKER_FAULT_NAMES = Object.keys(BROKER_FAULTS) as BrokerFaultName[];
