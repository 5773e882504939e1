import type { EventBatch } from '../batch.ts';
import type { Appended } from '../ports.ts';
import { MemoryLog } from './memory.ts';

/** An append in progress. */
export interface HeldAppend {
  readonly batches: readonly EventBatch[];
  /** Calls `onTaken`: the next append may start. */
  taken(): void;
  /** Makes it durable. */
  land(): void;
  fail(): void;
}

/** A log in memory that writes at once, and settles each append only when the test calls for it. */
export class HeldLog extends MemoryLog {
  readonly appends: HeldAppend[] = [];

  override append(batches: readonly EventBatch[], onTaken: () => void = () => {}): Promise<Appended[]> {
    const written = super.append(batches);
    return new Promise((resolve, reject) => {
      this.appends.push({
        batches,
        taken: onTaken,
        land: () => resolve(written),
        fail: () => reject(new Error('the log failed')),
      });
    });
  }
}
