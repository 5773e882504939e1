import type { EventBatch, Journal, ZoneAddress } from '@millrace/kernel';
import type { EventLog } from '@millrace/log';
import type { Machine } from './scheduler.ts';
import type { ServiceFaults } from './service-faults.ts';

/** A batch that the log has accepted, with who wrote it under which epoch of the shard. */
export interface WrittenBatch {
  readonly batch: EventBatch;
  readonly by: string;
  readonly epoch: number;
}

/** The log of a simulated cluster, with all that it has ever accepted, for the checks. */
export interface ZoneLog {
  readonly faults: ServiceFaults;
  /** In order for each shard; not subject to retention. */
  readonly batches: readonly WrittenBatch[];
  /** A paused machine that holds the lock of writers: nobody else can write until it continues or crashes. */
  holder: Machine | null;
  /** The claimer of each epoch of each shard, as `shard epoch`. */
  readonly claims: ReadonlyMap<string, string>;
  readonly shardOf: (zone: ZoneAddress) => number;
  /** The log as a host of zones uses it. @param owner names its run */
  journal(machine: Machine, owner: string): Journal;
  /** The log as consumer groups use it. It may be there at once. */
  open(machine: Machine): EventLog | Promise<EventLog>;
  /** The log as the server reads the past of zones, after retention. */
  history(machine: Machine): Pick<EventLog, 'read'>;
  ofZone(zone: ZoneAddress): EventBatch[];
  /** Events that consumer groups skipped, as `zone seq`. */
  skippedEvents(): Set<string>;
  /** Retention by size. */
  dropOldest(): void;
  /** Retention by age: drops the oldest batches that every group has read and a snapshot covers. */
  dropCovered(machine: Machine, isCovered: (zone: ZoneAddress, seq: number) => Promise<boolean>): Promise<void>;
}
