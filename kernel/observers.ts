import type { HostFailure, HostOptions } from './host-options.ts';
import type { ZoneEntry } from './zone-entry.ts';

/** Calls the observers of a host. What they throw is counted and reported as `observer`, and changes nothing. */
export class Observers {
  readonly #options: HostOptions;
  failures = 0;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  /** Calls `send` with the observers, at once. Never throws. */
  notify(notice: (observers: HostOptions) => void): void {
    try {
      notice(this.#options);
    } catch (error) {
      this.failures++;
      this.report({ kind: 'observer', message: stackOf(error) });
    }
  }

  /** Notifies observers of events of a zone: at once, or, while the zone is not sound, after its recovery. */
  publish(entry: ZoneEntry | undefined, notice: (observers: HostOptions) => void): void {
    if (!entry || entry.isSound) this.notify(notice);
    else entry.deferred.push(notice);
  }

  report(failure: HostFailure): void {
    try {
      this.#options.onFailure?.(failure);
    } catch {
      // The failure observer itself threw, so no observer is left to report to. The count records it.
      this.failures++;
    }
  }
}

/** The stack trace of an error; any other thrown value as a string. */
export function stackOf(error: unknown): string {
  return (error instanceof Error && error.stack) || String(error);
}
