import type { EventStats } from '@millrace/contracts';
import type { Topic } from '@millrace/topics';
import { brokersStatus } from './broker-watch.ts';
import type { Flow } from './flow.ts';

/** Rates of the types of events, and the offsets and bytes of each topic. */
export function eventStats(flow: Flow, topics: readonly Topic[]): EventStats {
  return {
    types: flow.types(),
    topics: topics.map((topic) => {
      const { name, log } = topic;
      const { partitions, bytes } = log.stats();
      return { topic: name, partitions: partitions.map(({ start, end }) => ({ start, end })), bytes, brokers: brokersStatus(topic) };
    }),
  };
}
