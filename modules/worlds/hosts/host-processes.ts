import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import { type EarlyProcess, type LinkedProcess, startLinkedProcess } from '@millrace/processes';
import type { OpenStorePermit, OpenStoreRequest, StoreOpenings, ZoneStores } from '@millrace/topics';
import { type Begin, type FromHost, runZoneHost, spoolsOf, type ToHost } from './zone-host.ts';

/** Heap for young objects, MiB per semi-space. V8’s default is up to four times as much and is not returned; half of this costs a seventh of the CPU. */
const HEAP_OPTIONS = ['--max-semi-space-size=16'];
/** The process of a zone host. */
export const HOST_PROCESS: EarlyProcess = { file: join(import.meta.dirname, 'zone-host-process.ts'), flags: HEAP_OPTIONS };
const RESTART_FIRST_MS = 200;
const RESTART_MOST_MS = 10_000;
/** A process that ran this long restarts without delay when it ends. Processes that fail repeatedly do so while they open their zones. */
const HEALTHY_MS = 4_000;
/** Hosts that restart at the same time: a few that open their zones soon serve players better than many that are all late. */
const RESTARTING_MAX = Math.max(1, Math.floor(availableParallelism() / 2));
/** Longest time that the next restart waits for one in progress. */
const RESTARTING_MS_MAX = 2_000;
/** Delay before a missing standby process is started. */
const STANDBY_AFTER_MS = 5_000;
const STOP_MS_MAX = 9_000;

/** A zone host as the server holds it: a process, or this process itself. */
export interface HostHandle {
  readonly id: string;
  readonly pid: number;
  readonly startedAt: number;
  send(message: Exclude<ToHost, Begin>): void;
  /** Ends the host at once, without a flush or handover. */
  kill(): void;
  stop(): Promise<void>;
}

export interface HostEvents {
  onMessage(host: HostHandle, message: FromHost): void;
  onEnded(host: HostHandle, expected: boolean): void;
}

type Terms = Omit<Begin, 'type' | 'id' | 'incarnation'>;

/** Starts a zone host. */
type StartHost = (id: string, terms: Terms, events: HostEvents) => HostHandle;

/** A standby process: the code is loaded, but no zone host runs in it yet. */
interface WaitingProcess {
  readonly begin: StartHost;
  readonly ended: Promise<void>;
  kill(): void;
}

function startProcess(data: string, opening: StoreOpenings): WaitingProcess {
  let received: (message: FromHost) => void = () => {};
  const child: LinkedProcess<ToHost | OpenStorePermit> = startLinkedProcess<ToHost | OpenStorePermit, FromHost | OpenStoreRequest>({
    name: 'a zone host',
    ...HOST_PROCESS,
    data,
    onMessage: (message) => {
      if (message.type === 'wants-to-open') opening.next(child.pid ?? 0, 'log and hot', () => child.send({ type: 'may-open' }));
      else received(message);
    },
  });
  const { kill } = child;
  const ended = child.ended.then(() => {});
  return {
    ended,
    kill,
    begin: (id, terms, events) => {
      let isExpected = false;
      const handle: HostHandle = {
        id,
        pid: child.pid ?? 0,
        startedAt: Date.now(),
        send: child.send,
        kill,
        stop: async () => {
          isExpected = true;
          child.send({ type: 'stop' });
          const late = setTimeout(kill, STOP_MS_MAX);
          await ended;
          clearTimeout(late);
        },
      };
      received = (message) => events.onMessage(handle, message);
      void ended.then(() => events.onEnded(handle, isExpected));
      child.send({ type: 'begin', id, incarnation: randomUUID(), ...terms });
      return handle;
    },
  };
}

/** Runs a zone host in this process, on the server’s own stores, for small worlds. */
function embedZoneHost(stores: ZoneStores): StartHost {
  return (id, terms, events) => {
    const begin: Begin = { type: 'begin', id, incarnation: randomUUID(), ...terms };
    // Copied as over the pipe to another process, because the zone continues to change the original.
    const copied = (message: FromHost) => (message.type === 'answer' || message.type === 'deliver' ? structuredClone(message) : message);
    const send = (message: FromHost) => {
      const sent = copied(message);
      setImmediate(() => events.onMessage(handle, sent));
    };
    const running = runZoneHost(begin, { stores, spools: spoolsOf(begin, send), clock: systemClock, send });
    const handle: HostHandle = {
      id,
      pid: process.pid,
      startedAt: Date.now(),
      send: (message) => void setImmediate(() => running.received(message)),
      kill: () => {},
      stop: async () => {
        await running.stop();
        events.onEnded(handle, true);
      },
    };
    return handle;
  };
}

/**
 * Keeps a number of zone hosts running. A host that ends unexpectedly is restarted with increasing delays. Standby processes wait, so that a new host
 * needs no process start.
 */
export class HostProcesses {
  readonly areEmbedded: boolean;
  readonly #hosts = new Map<string, HostHandle>();
  readonly #opening: StoreOpenings;
  readonly #terms: Terms;
  readonly #events: HostEvents;
  readonly #start: StartHost;
  readonly #standbyWanted: number;
  readonly #standby = new Set<WaitingProcess>();
  readonly #delays = new Map<string, number>();
  /** Restarted hosts that have not opened their zones yet. The ids in `#due` restart after them. */
  readonly #restarting = new Set<HostHandle>();
  readonly #due: string[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #numbered = 0;
  #isFilling = false;
  #isStopping = false;

  /** @param count processes with zones; 0 runs all zones in this process. @param standby number of standby processes */
  constructor(
    { hosts: count, standby }: { readonly hosts: number; readonly standby: number },
    stores: ZoneStores,
    opening: StoreOpenings,
    terms: Terms,
    events: HostEvents,
  ) {
    this.#opening = opening;
    this.#terms = terms;
    this.#events = events;
    this.areEmbedded = count === 0;
    this.#start = this.areEmbedded
      ? embedZoneHost({ ...stores, close: async () => {} })
      : (...begin) => this.#nextProcess().begin(...begin);
    this.#standbyWanted = this.areEmbedded ? 0 : standby;
    for (let index = 0; index < Math.max(1, count); index++) this.add();
    this.#fillStandby();
  }

  get(id: string): HostHandle | undefined {
    return this.#hosts.get(id);
  }

  all(): HostHandle[] {
    return [...this.#hosts.values()];
  }

  /** Starts one more host; returns its id. */
  add(): string {
    const id = `zones-${++this.#numbered}`;
    this.#run(id);
    return id;
  }

  /** Stops a host and does not restart it. */
  async remove(id: string): Promise<void> {
    const host = this.#hosts.get(id);
    this.#hosts.delete(id);
    await host?.stop();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const waiting of this.#standby) waiting.kill();
    await Promise.all([...[...this.#standby].map(({ ended }) => ended), ...[...this.#hosts.values()].map((host) => host.stop())]);
  }

  #run(id: string): void {
    this.#hosts.set(
      id,
      this.#start(id, this.#terms, {
        onMessage: (host, message) => {
          if (this.#hosts.get(id) !== host) return;
          if (message.type === 'heartbeat' && message.open.length > 0 && message.open.length === message.holding.length)
            this.#restarted(host);
          this.#events.onMessage(host, message);
        },
        onEnded: (host, expected) => {
          this.#restarted(host);
          this.#events.onEnded(host, expected);
          if (this.#hosts.get(id) === host && !expected && !this.#isStopping) this.#again(host);
        },
      }),
    );
  }

  #again(host: HostHandle): void {
    const before = Date.now() - host.startedAt > HEALTHY_MS ? 0 : (this.#delays.get(host.id) ?? 0);
    this.#delays.set(host.id, Math.min(RESTART_MOST_MS, before === 0 ? RESTART_FIRST_MS : before * 2));
    this.#later(before, () => {
      // The host may have been removed meanwhile.
      if (this.#hosts.get(host.id) !== host) return;
      this.#due.push(host.id);
      this.#restartDue();
    });
  }

  #restartDue(): void {
    while (this.#due.length > 0 && (this.#restarting.size < RESTARTING_MAX || this.#standby.size > 0)) {
      const id = this.#due.shift() as string;
      if (!this.#hosts.has(id)) continue;
      this.#run(id);
      const host = this.#hosts.get(id) as HostHandle;
      this.#restarting.add(host);
      this.#later(RESTARTING_MS_MAX, () => this.#restarted(host));
    }
  }

  #restarted(host: HostHandle): void {
    if (this.#restarting.delete(host) && !this.#isStopping) this.#restartDue();
  }

  #nextProcess(): WaitingProcess {
    const [waiting] = this.#standby;
    if (!waiting) return startProcess(this.#terms.data, this.#opening);
    this.#standby.delete(waiting);
    this.#fillStandby();
    return waiting;
  }

  /** Starts standby processes after a delay: hosts with zones and players have priority. */
  #fillStandby(): void {
    if (this.#isStopping || this.#standby.size >= this.#standbyWanted || this.#isFilling) return;
    this.#isFilling = true;
    this.#later(STANDBY_AFTER_MS, () => {
      this.#isFilling = false;
      const waiting = startProcess(this.#terms.data, this.#opening);
      this.#standby.add(waiting);
      void waiting.ended.then(() => this.#standby.delete(waiting) && this.#fillStandby());
      this.#fillStandby();
    });
  }

  #later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isStopping) work();
    }, ms);
    this.#timers.add(timer);
  }
}
