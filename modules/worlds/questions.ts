import type { ZoneId } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { HostPort, ToZoneHost } from './messages.ts';

/** How long a zone has for an answer, its way to another host included. */
export const ASK_MS = 3_000;

export interface Asked {
  readonly zone: ZoneId;
  readonly message: (ask: number) => ToZoneHost;
  /** Whether it may be sent again, to the zone’s next host: a question may, a command might be decided twice. */
  readonly again: boolean;
}

interface Waiting extends Asked {
  isSent: boolean;
  readonly resolve: (answer: unknown) => void;
  readonly cancel: () => void;
}

/** What zones are asked through their hosts, until they answer. What is asked of a zone that is between two hosts is sent to the next one. */
export class Questions {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #numbered = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with the answer; with null when none comes in time. `host` is the zone’s host now, undefined when it has none. */
  ask(asked: Asked, host: HostPort | undefined): Promise<unknown> {
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
    for (const [ask, waiting] of this.#waiting) if (waiting.zone === zone && (waiting.again || !waiting.isSent)) send(ask, waiting, host);
  }

  /** A host has answered. Null says that it does not have the zone: then the zone’s next host is waited for. */
  answered(ask: number, answer: unknown): void {
    const waiting = this.#waiting.get(ask);
    if (!waiting || (answer === null && waiting.again)) return;
    this.#waiting.delete(ask);
    waiting.cancel();
    waiting.resolve(answer);
  }
}

function send(ask: number, waiting: Waiting, host: HostPort): void {
  waiting.isSent = true;
  host.send(waiting.message(ask));
}
