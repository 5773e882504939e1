import type { ZoneId } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { HostPort, ToZoneHost } from '../messages.ts';

/** How long a zone has for a reply, including a move to another host, ms. */
export const ASK_MS = 3_000;
/** Delay before a request to a host that does not have the zone, or is rebuilding it, is sent again, ms. */
const AGAIN_MS = 50;

export interface ZoneRequest {
  readonly zone: ZoneId;
  readonly message: (ask: number) => ToZoneHost;
  /**
   * `no`: a command, which could be decided twice; it waits for a host and is sent once. `yes`: a query, sent until a reply arrives.
   * `now`: a query that resolves at once, with null when the zone has no host, loses it before the reply, or the host cannot reply.
   */
  readonly again: 'no' | 'yes' | 'now';
}

interface Waiting extends ZoneRequest {
  isSent: boolean;
  readonly resolve: (reply: unknown) => void;
  readonly cancel: () => void;
}

/** Requests to zones, through their hosts, until a reply arrives. A request to a zone that moves is sent to its next host. */
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

  /** Resolves with the reply; with null when none arrives in time. */
  ask(request: ZoneRequest): Promise<unknown> {
    const host = this.#hostOf(request.zone);
    if (!host && request.again === 'now') return Promise.resolve(null);
    const ask = ++this.#numbered;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ASK_MS, () => {
        this.#waiting.delete(ask);
        resolve(null);
      });
      const waiting = { ...request, isSent: false, resolve, cancel };
      this.#waiting.set(ask, waiting);
      if (host) send(ask, waiting, host);
    });
  }

  /** Call it when the zone was opened on a host, or is on none. */
  placed(zone: ZoneId, host: HostPort | null): void {
    for (const [ask, waiting] of this.#waiting) {
      if (waiting.zone !== zone) continue;
      if (waiting.again === 'now') this.#resolve(ask, waiting, null);
      else if (host && (waiting.again === 'yes' || !waiting.isSent)) send(ask, waiting, host);
    }
  }

  /** Handles a host’s reply. Null means that the host does not have the zone, or not yet. */
  answered(ask: number, reply: unknown): void {
    const waiting = this.#waiting.get(ask);
    if (!waiting) return;
    if (reply === null && waiting.again === 'yes') return void this.#clock.after(AGAIN_MS, () => this.#sendAgain(ask));
    this.#resolve(ask, waiting, reply);
  }

  #resolve(ask: number, waiting: Waiting, reply: unknown): void {
    this.#waiting.delete(ask);
    waiting.cancel();
    waiting.resolve(reply);
  }

  #sendAgain(ask: number): void {
    const waiting = this.#waiting.get(ask);
    const host = waiting && this.#hostOf(waiting.zone);
    if (host) send(ask, waiting, host);
  }
}

function send(ask: number, waiting: Waiting, host: HostPort): void {
  waiting.isSent = true;
  host.send(waiting.message(ask));
}
