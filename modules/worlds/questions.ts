import type { ZoneId } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { HostPort, ToZoneHost } from './messages.ts';

/** How long a zone has for an answer, its way to another host included. */
export const ASK_MS = 3_000;
/** How soon a host is asked again that does not have the zone, or is rebuilding it. */
const AGAIN_MS = 50;

export interface Asked {
  readonly zone: ZoneId;
  readonly message: (ask: number) => ToZoneHost;
  /**
   * `no`: a command, which might be decided twice; it waits for a host, and is sent once. `yes`: a question, asked until there is an answer.
   * `now`: a question that is answered at once, with null when the zone has no host or that one cannot say.
   */
  readonly again: 'no' | 'yes' | 'now';
}

interface Waiting extends Asked {
  isSent: boolean;
  readonly resolve: (answer: unknown) => void;
  readonly cancel: () => void;
}

/** What zones are asked through their hosts, until they answer. What is asked of a zone that is between two hosts is sent to the next. */
export class Questions {
  readonly #clock: Clock;
  /** The zone’s host now; undefined while it has none. */
  readonly #hostOf: (zone: ZoneId) => HostPort | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #numbered = 0;

  constructor(clock: Clock, hostOf: (zone: ZoneId) => HostPort | undefined) {
    this.#clock = clock;
    this.#hostOf = hostOf;
  }

  /** Resolves with the answer; with null when none comes in time. */
  ask(asked: Asked): Promise<unknown> {
    const host = this.#hostOf(asked.zone);
    if (!host && asked.again === 'now') return Promise.resolve(null);
    const ask = ++this.#numbered;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ASK_MS, () => {
        this.#waiting.delete(ask);
        resolve(null);
      });
      const waiting = { ...asked, isSent: false, resolve, cancel };
      this.#waiting.set(ask, waiting);
      if (host) send(ask, waiting, host);
    });
  }

  /** The zone is open at another host. */
  placed(zone: ZoneId, host: HostPort): void {
    for (const [ask, waiting] of this.#waiting)
      if (waiting.zone === zone && (waiting.again === 'yes' || !waiting.isSent)) send(ask, waiting, host);
  }

  /** A host has answered. Null says that it does not have the zone, or not yet. */
  answered(ask: number, answer: unknown): void {
    const waiting = this.#waiting.get(ask);
    if (!waiting) return;
    if (answer === null && waiting.again === 'yes') return void this.#clock.after(AGAIN_MS, () => this.#askAgain(ask));
    this.#waiting.delete(ask);
    waiting.cancel();
    waiting.resolve(answer);
  }

  #askAgain(ask: number): void {
    const waiting = this.#waiting.get(ask);
    const host = waiting && this.#hostOf(waiting.zone);
    if (host) send(ask, waiting, host);
  }
}

function send(ask: number, waiting: Waiting, host: HostPort): void {
  waiting.isSent = true;
  host.send(waiting.message(ask));
}
