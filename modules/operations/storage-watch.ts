import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import type { AlertRules } from '@millrace/contracts';
import type { HealthCheck } from '@millrace/health';
import type { AlertCondition, WatchedOutbox } from '@millrace/module';

const MIB = 1024 * 1024;

/** Free space below this fraction of the warning threshold is critical. */
const DISK_CRITICAL = 0.2;

export interface StorageParts {
  readonly folder: string;
  readonly spoolMiB: number;
  readonly rules: Pick<AlertRules, 'diskFreeMiB' | 'diskFreePercent' | 'spoolPercent' | 'unrecordedForMs'>;
  readonly outboxes: () => readonly WatchedOutbox[];
}

/** Watches free disk space and whether decided events can be stored, for health checks and alerts. */
export class StorageWatch {
  readonly #parts: StorageParts;
  #disk: { readonly freeMiB: number; readonly freePercent: number } | null = null;

  constructor(parts: StorageParts) {
    this.#parts = parts;
  }

  /** Health checks, none of them required: stored events can still be read, and decided ones go to the spool. */
  checks(): HealthCheck[] {
    return [
      { name: 'disk', isRequired: false, check: () => this.#checkDisk() },
      { name: 'log', isRequired: false, check: () => this.#checkLog() },
      { name: 'spool', isRequired: false, check: () => this.#checkSpool() },
    ];
  }

  /** Low disk space, full spools, and logs that cannot be written. */
  *conditions(): Generator<AlertCondition> {
    const { diskFreeMiB, diskFreePercent, spoolPercent, unrecordedForMs } = this.#parts.rules;
    const disk = this.#disk;
    if (disk && (disk.freeMiB < diskFreeMiB || disk.freePercent < diskFreePercent)) {
      const severity = disk.freeMiB < diskFreeMiB * DISK_CRITICAL ? 'critical' : 'warning';
      const about = { rule: 'disk-low', severity, subject: 'disk' } as const;
      // The value that is below its threshold, so that the alert shows why it is one.
      const [value, threshold] = disk.freeMiB < diskFreeMiB ? [disk.freeMiB, diskFreeMiB] : [disk.freePercent, diskFreePercent];
      yield { ...about, id: `disk-low/${severity}`, value, threshold, forMs: 0 };
    }
    for (const outbox of this.#parts.outboxes()) {
      const about = { severity: 'critical', subject: outbox.name } as const;
      const value = this.#percentOf(outbox);
      if (value > spoolPercent)
        yield { ...about, id: `spool-full/${outbox.name}`, rule: 'spool-full', value, threshold: spoolPercent, forMs: 0 };
      if (outbox.mode !== 'flowing')
        yield { ...about, id: `log-unwritable/${outbox.name}`, rule: 'log-unwritable', value: 1, threshold: 0, forMs: unrecordedForMs };
    }
  }

  async #checkDisk(): Promise<void> {
    const { folder, rules } = this.#parts;
    const { bavail, bsize, blocks } = await statfs(folder);
    const freeMiB = Math.floor((bavail * bsize) / MIB);
    const freePercent = blocks === 0 ? 100 : (bavail / blocks) * 100;
    this.#disk = { freeMiB, freePercent };
    await access(folder, constants.W_OK).catch(() => {
      throw new Error(`The data folder ${folder} cannot be written. Fix its permissions, or mount its file system for writing.`);
    });
    if (freeMiB < rules.diskFreeMiB || freePercent < rules.diskFreePercent)
      throw new Error(
        `The disk of ${folder} has ${freeMiB} MiB (${freePercent.toFixed(1)} %) left. Make room on it, or lower log.retentionGiB. ` +
          `Bounds: alerts.diskFreeMiB (${rules.diskFreeMiB}), alerts.diskFreePercent (${rules.diskFreePercent}).`,
      );
  }

  #checkLog(): undefined {
    const outboxes = this.#parts.outboxes();
    const waiting = outboxes.filter(({ mode }) => mode === 'waiting');
    if (waiting.length > 0)
      throw new Error(`The log takes nothing of ${waiting.map(({ name }) => name).join(', ')}: events wait for it in memory.`);
    const spooling = outboxes.filter(({ mode }) => mode === 'spooling');
    const [first] = spooling;
    if (!first) return;
    const reason = first.lastFailure ?? 'see the log of the server';
    throw new Error(`Events of ${spooling.map(({ name }) => name).join(', ')} go to the spool until the log takes them: ${reason}`);
  }

  #checkSpool(): undefined {
    const { spoolMiB, rules } = this.#parts;
    const full = this.#parts.outboxes().find((one) => this.#percentOf(one) > rules.spoolPercent);
    if (!full) return;
    throw new Error(
      `The spool of ${full.name} holds ${Math.round(full.spooledBytes / MIB)} of ${spoolMiB} MiB; when it is full, events are lost. ` +
        'Make the log writable again, or raise log.spoolMiB.',
    );
  }

  #percentOf({ spooledBytes }: WatchedOutbox): number {
    return (spooledBytes / (this.#parts.spoolMiB * MIB)) * 100;
  }
}
