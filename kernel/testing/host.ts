import type { EventBatch } from '../batch.ts';
import type { ZoneAddress } from '../command.ts';
import type { AnyZoneDefinition } from '../definition.ts';
import { ZoneHost } from '../host.ts';
import type { HostFailure, HostOptions } from '../host-options.ts';
import { type PointInTime, recover } from '../recovery.ts';
import { ManualClock, MemoryLog, MemorySnapshots, MemorySpools } from './memory.ts';
import { openNumbers } from './open-numbers.ts';

export interface TestHost {
  readonly host: ZoneHost;
  readonly clock: ManualClock;
  readonly log: MemoryLog;
  readonly hot: MemorySnapshots;
  readonly cold: MemorySnapshots;
  readonly spools: MemorySpools;
  readonly decided: EventBatch[];
  readonly failures: HostFailure[];
}

/** A host on parts in memory under a manual clock. Parts of another host may be reused, as after a crash. */
export function newHost(definitions: AnyZoneDefinition[], parts: Partial<TestHost> & { options?: Partial<HostOptions> } = {}): TestHost {
  const clock = parts.clock ?? new ManualClock(1_000);
  const log = parts.log ?? new MemoryLog();
  const hot = parts.hot ?? new MemorySnapshots();
  const cold = parts.cold ?? new MemorySnapshots();
  const spools = parts.spools ?? new MemorySpools();
  const decided: EventBatch[] = [];
  const failures: HostFailure[] = [];
  const host = new ZoneHost({
    log,
    spools,
    hot,
    cold,
    clock,
    random: openNumbers,
    onDecided: (batch) => decided.push(batch),
    onFailure: (failure) => failures.push(failure),
    ...parts.options,
  });
  for (const definition of definitions) host.register(definition);
  return { host, clock, log, hot, cold, spools, decided, failures };
}

/** The state of a zone at a point in time, from its record. */
export async function stateAt(record: TestHost, definition: AnyZoneDefinition, zone: ZoneAddress, moment: PointInTime) {
  const { replay, steps } = await recover(definition, zone, record, moment);
  return { state: replay.checkpoint().state, seq: replay.seq, steps };
}
