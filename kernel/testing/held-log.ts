import type { EventBatch } from '../batch.ts';
import type { LogPosition } from '../ports.ts';
import { MemoryLog } from './memory.ts';

/** An append in progress. */
export interface HeldAppend {
  readonly batches: readonly EventBatch[];
  /** Makes it durable. */
  land(): void;
  fail(): void;
}

/** A log in memory that writes at once, and settles each append only when the test calls for it. It takes two at a time. */
export class HeldLog extends MemoryLog {
  override readonly inFlightMax = 2;
  readonly appends: HeldAppend[] = [];
  /** Otherwise it loses what it is given. */
  writes = true;

  override append(...given: Parameters<MemoryLog['append']>): Promise<LogPosition> {
    const written = this.writes ? super.append(...given) : Promise.resolve(0);
    return new Promise((resolve, reject) => {
      this.appends.push({
        batches: given[0],
        land: () => resolve(written),
        fail: () => reject(new Error('the log failed')),
      });
    });
  }
}
