import type { HostFailure, HostOptions } from './host-options.ts';
import type { ZoneEntry } from './zone-entry.ts';

/** Calls the observers in a host’s options. What they throw is reported and counted, and changes nothing. */
export class Observers {
  readonly #options: HostOptions;
  failures = 0;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  notify(tell: (observers: HostOptions) => void): void {
    try {
      tell(this.#options);
    } catch (error) {
      this.failures++;
      this.report({ kind: 'observer', message: traceOf(error) });
    }
  }

  /** Notifies observers of a zone’s events: now, or when its state is again what they are told of. */
  publish(entry: ZoneEntry | undefined, tell: (observers: HostOptions) => void): void {
    if (!entry || entry.isSound) this.notify(tell);
    else entry.deferred.push(tell);
  }

  report(failure: HostFailure): void {
    try {
      this.#options.onFailure?.(failure);
    } catch {
      // Nobody is left to be told; the count says that it happened.
      this.failures++;
    }
  }
}

export function traceOf(error: unknown): string {
  return (error instanceof Error && error.stack) || String(error);
}
