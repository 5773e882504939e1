import type { EventBatch } from '../batch.ts';
import type { Appended } from '../ports.ts';
import { MemoryLog } from './memory.ts';

/** An append that waits for its end. */
export interface HeldAppend {
  readonly batches: readonly EventBatch[];
  /** The log says that it has taken it. */
  taken(): void;
  /** It becomes durable. */
  land(): void;
  fail(): void;
}

/** A log in memory that writes at once, and ends each append only when it is told to. */
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
