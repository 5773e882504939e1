import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { systemClock } from '@millrace/base/clock';
import { openLink } from '@millrace/cluster';
import { noteProcess } from '@millrace/processes';
import type { FromOpening, MayOpen, Opening, Stores } from '@millrace/topics';
import { type Begin, type FromHost, runZoneHost, spoolOf, type ToHost } from './zone-host.ts';

const PROCESS = join(import.meta.dirname, 'zone-host-process.ts');
/** Room for young objects: V8 takes four times as much where there is memory, and keeps it; half of this costs a seventh of the processor. */
const LEAN = ['--max-semi-space-size=16'];
const RESTART_FIRST_MS = 200;
const RESTART_MOST_MS = 10_000;
/** A process that has lived so long is started anew without delay when it ends: it is its zones’ opening that fails again and again. */
const HEALTHY_MS = 4_000;
/** Hosts that are brought back at a time: one that has its zones soon serves players better than several that come late together. */
const COMING_MAX = Math.max(1, Math.floor(availableParallelism() / 2));
/** The next one is not kept waiting longer for one that comes back. */
const COMING_MS_MAX = 2_000;
/** A process that stands by is started so long after it is missed. */
const STANDBY_AFTER_MS = 5_000;
const STOP_MS_MAX = 9_000;

/** A zone host as the server holds it: a process, or this process itself. */
export interface HostHandle {
  readonly id: string;
  readonly pid: number;
  readonly startedAt: number;
  send(message: Exclude<ToHost, Begin>): void;
  /** Ends it at once, whatever it is at. */
  kill(): void;
  stop(): Promise<void>;
}

export interface HostEvents {
  onMessage(host: HostHandle, message: FromHost): void;
  onEnded(host: HostHandle, expected: boolean): void;
}

type Terms = Omit<Begin, 'type' | 'id' | 'incarnation'>;

/** How a zone host is begun. */
type StartHost = (id: string, terms: Terms, events: HostEvents) => HostHandle;

/** A process that has loaded what a zone host is, and is none yet. */
interface WaitingProcess {
  readonly begin: StartHost;
  readonly ended: Promise<void>;
  kill(): void;
}

/** @throws when the system can start no more processes */
function startProcess(data: string, opening: Opening): WaitingProcess {
  const child: ChildProcess = spawn(process.execPath, [...LEAN, PROCESS], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
  const forget = noteProcess(data, child.pid, 'a zone host');
  let received: (message: FromHost) => void = () => {};
  const over = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
  const link = openLink<ToHost | MayOpen, FromHost | FromOpening>(child.stdio[3] as Duplex, {
    onMessage: (message) => {
      if (message.type === 'wants-to-open') opening.next(child.pid ?? 0, 'log and hot', () => link.send({ type: 'may-open' }));
      else received(message);
    },
    onClose: () => {},
  });
  const ended = over.then(() => {
    forget();
    link.close();
  });
  const kill = () => void child.kill('SIGKILL');
  return {
    ended,
    kill,
    begin: (id, terms, events) => {
      let isExpected = false;
      const handle: HostHandle = {
        id,
        pid: child.pid ?? 0,
        startedAt: Date.now(),
        send: (message) => link.send(message),
        kill,
        stop: async () => {
          isExpected = true;
          link.send({ type: 'stop' });
          const late = setTimeout(kill, STOP_MS_MAX);
          await ended;
          clearTimeout(late);
        },
      };
      received = (message) => events.onMessage(handle, message);
      void ended.then(() => events.onEnded(handle, isExpected));
      link.send({ type: 'begin', id, incarnation: randomUUID(), ...terms });
      return handle;
    },
  };
}

/** Runs a zone host in this process, on the server’s own stores: for a world that is small. */
function embedZoneHost(stores: Stores): StartHost {
  return (id, terms, events) => {
    const begin: Begin = { type: 'begin', id, incarnation: randomUUID(), ...terms };
    // A copy of what a zone goes on changing, as over the pipe to another process.
    const copied = (message: FromHost) => (message.type === 'answer' || message.type === 'deliver' ? structuredClone(message) : message);
    const send = (message: FromHost) => {
      const sent = copied(message);
      setImmediate(() => events.onMessage(handle, sent));
    };
    const running = runZoneHost(begin, { stores, spool: spoolOf(begin, send), clock: systemClock, send });
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
 * Keeps a number of zone hosts running: one that ends without being told to is started again, with more patience each time. Some processes stand by, so
 * that the next one that is needed does not have to be started first.
 */
export class HostProcesses {
  readonly areEmbedded: boolean;
  readonly #hosts = new Map<string, HostHandle>();
  readonly #opening: Opening;
  readonly #terms: Terms;
  readonly #events: HostEvents;
  readonly #start: StartHost;
  readonly #standbyWanted: number;
  readonly #standby = new Set<WaitingProcess>();
  readonly #waits = new Map<string, number>();
  /** Hosts that have been brought back and have no zones yet, and those that are to be brought back when they have. */
  readonly #coming = new Set<HostHandle>();
  readonly #due: string[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #numbered = 0;
  #isFilling = false;
  #isStopping = false;

  /** @param count processes with zones; 0 keeps all zones in this process. @param standby processes that wait to be needed */
  constructor(
    { hosts: count, standby }: { readonly hosts: number; readonly standby: number },
    stores: Stores,
    opening: Opening,
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

  /** Starts one more; returns its id. */
  add(): string {
    const id = `zones-${++this.#numbered}`;
    this.#run(id);
    return id;
  }

  /** Ends one for good. */
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
            this.#hasCome(host);
          this.#events.onMessage(host, message);
        },
        onEnded: (host, expected) => {
          this.#hasCome(host);
          this.#events.onEnded(host, expected);
          if (this.#hosts.get(id) === host && !expected && !this.#isStopping) this.#again(host);
        },
      }),
    );
  }

  #again(host: HostHandle): void {
    const before = Date.now() - host.startedAt > HEALTHY_MS ? 0 : (this.#waits.get(host.id) ?? 0);
    this.#waits.set(host.id, Math.min(RESTART_MOST_MS, before === 0 ? RESTART_FIRST_MS : before * 2));
    this.#later(before, () => {
      // Unless it has been removed meanwhile.
      if (this.#hosts.get(host.id) !== host) return;
      this.#due.push(host.id);
      this.#bringBack();
    });
  }

  #bringBack(): void {
    while (this.#due.length > 0 && (this.#coming.size < COMING_MAX || this.#standby.size > 0)) {
      const id = this.#due.shift() as string;
      if (!this.#hosts.has(id)) continue;
      this.#run(id);
      const host = this.#hosts.get(id) as HostHandle;
      this.#coming.add(host);
      this.#later(COMING_MS_MAX, () => this.#hasCome(host));
    }
  }

  #hasCome(host: HostHandle): void {
    if (this.#coming.delete(host) && !this.#isStopping) this.#bringBack();
  }

  #nextProcess(): WaitingProcess {
    const [waiting] = this.#standby;
    if (!waiting) return startProcess(this.#terms.data, this.#opening);
    this.#standby.delete(waiting);
    this.#fillStandby();
    return waiting;
  }

  /** A little later: what zones and players need now comes first. */
  #fillStandby(): void {
    if (this.#isStopping || this.#standby.size >= this.#standbyWanted || this.#isFilling) return;
    this.#isFilling = true;
    this.#later(STANDBY_AFTER_MS, () => {
      this.#isFilling = false;
      try {
        const waiting = startProcess(this.#terms.data, this.#opening);
        this.#standby.add(waiting);
        void waiting.ended.then(() => this.#standby.delete(waiting) && this.#fillStandby());
      } catch {
        // None is missed until one is needed; it is tried again.
      }
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
