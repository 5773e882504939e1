import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import type { AlertRules } from '@millrace/contracts';
import type { StorageSample } from '@millrace/operations';
import type { HealthCheck } from '@millrace/platform/health';
import type { OutboxMode } from './outbox-modes.ts';

const MIB = 1024 * 1024;

/** What of an outbox tells whether its log can be written. */
export interface WatchedOutbox {
  /** Whose it is: `market`, `accounts`, or a zone host. */
  readonly name: string;
  readonly mode: OutboxMode;
  readonly spooledBytes: number;
}

export interface StorageParts {
  readonly folder: string;
  readonly spoolMiB: number;
  readonly rules: Pick<AlertRules, 'diskFreeMiB' | 'diskFreePercent' | 'spoolPercent'>;
  readonly outboxes: () => readonly WatchedOutbox[];
}

/** Watches the room on the disk and whether what is decided can be recorded, for health checks and alerts. */
export class StorageWatch {
  readonly #parts: StorageParts;
  readonly #failures = new Map<string, string>();
  #disk: StorageSample['disk'] = null;

  constructor(parts: StorageParts) {
    this.#parts = parts;
  }

  /** Remembers why a log could not be written last, to be shown for as long as that lasts. */
  noteFailure(outbox: string, reason: string): void {
    this.#failures.set(outbox, reason);
  }

  /** None is required: what is recorded can still be read, and what is decided goes to the spool. */
  checks(): HealthCheck[] {
    return [
      { name: 'disk', isRequired: false, check: () => this.#checkDisk() },
      { name: 'log', isRequired: false, check: () => this.#checkLog() },
      { name: 'spool', isRequired: false, check: () => this.#checkSpool() },
    ];
  }

  /** The room as it was found last. */
  sample(): StorageSample {
    const outboxes = this.#parts
      .outboxes()
      .map((one) => ({ ...one, isUnwritten: one.mode !== 'flowing', spoolPercent: this.#percentOf(one) }));
    return { disk: this.#disk, outboxes };
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
    const reason = this.#failures.get(first.name) ?? 'see the log of the server';
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
