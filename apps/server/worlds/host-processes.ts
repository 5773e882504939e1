import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { systemClock } from '@millrace/platform/clock';
import { openLink } from '@millrace/platform/cluster';
import { type Begin, type FromHost, runZoneHost, type Stores, spoolOf, type ToHost } from './zone-host.ts';

const PROCESS = join(import.meta.dirname, 'zone-host-process.ts');
/** Room for young objects: V8 takes four times as much where there is memory, and keeps it; half of this costs a seventh of the processor. */
const LEAN = ['--max-semi-space-size=16'];
const RESTART_FIRST_MS = 200;
const RESTART_MOST_MS = 10_000;
/** A process that has lived so long is started anew without delay when it ends. */
const HEALTHY_MS = 30_000;
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

/** Starts a zone host as a process of its own. */
export function spawnZoneHost(id: string, terms: Terms, events: HostEvents): HostHandle {
  const child: ChildProcess = spawn(process.execPath, [...LEAN, PROCESS], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
  let isExpected = false;
  const link = openLink<ToHost, FromHost>(child.stdio[3] as Duplex, {
    onMessage: (message) => events.onMessage(handle, message),
    onClose: () => {},
  });
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  }).then(() => {
    link.close();
    events.onEnded(handle, isExpected);
  });
  const handle: HostHandle = {
    id,
    pid: child.pid ?? 0,
    startedAt: Date.now(),
    send: (message) => link.send(message),
    kill: () => child.kill('SIGKILL'),
    stop: async () => {
      isExpected = true;
      link.send({ type: 'stop' });
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      await ended;
      clearTimeout(late);
    },
  };
  link.send({ type: 'begin', id, incarnation: randomUUID(), ...terms });
  return handle;
}

/** Runs a zone host in this process, on the server’s own stores: for a world that is small. */
function embedZoneHost(stores: Stores): typeof spawnZoneHost {
  return (id, terms, events) => {
    const begin: Begin = { type: 'begin', id, incarnation: randomUUID(), ...terms };
    const running = runZoneHost(begin, {
      stores,
      spool: spoolOf(begin),
      clock: systemClock,
      send: (message) => setImmediate(() => events.onMessage(handle, message)),
    });
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

/** Keeps a number of zone hosts running: one that ends without being told to is started again, with more patience each time. */
export class HostProcesses {
  readonly #hosts = new Map<string, HostHandle>();
  readonly #terms: Terms;
  readonly #events: HostEvents;
  readonly #start: typeof spawnZoneHost;
  readonly #waits = new Map<string, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #numbered = 0;
  #isStopping = false;

  constructor(count: number, stores: Stores, terms: Terms, events: HostEvents) {
    this.#terms = terms;
    this.#events = events;
    this.#start = count === 0 ? embedZoneHost({ ...stores, close: async () => {} }) : spawnZoneHost;
    for (let index = 0; index < Math.max(1, count); index++) this.add();
  }

  get areEmbedded(): boolean {
    return this.#start !== spawnZoneHost;
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
    await Promise.all([...this.#hosts.values()].map((host) => host.stop()));
  }

  #run(id: string): void {
    this.#hosts.set(
      id,
      this.#start(id, this.#terms, {
        onMessage: (host, message) => this.#hosts.get(id) === host && this.#events.onMessage(host, message),
        onEnded: (host, expected) => {
          this.#events.onEnded(host, expected);
          if (this.#hosts.get(id) === host && !expected && !this.#isStopping) this.#again(host);
        },
      }),
    );
  }

  #again(host: HostHandle): void {
    const before = Date.now() - host.startedAt > HEALTHY_MS ? 0 : (this.#waits.get(host.id) ?? 0);
    this.#waits.set(host.id, Math.min(RESTART_MOST_MS, before === 0 ? RESTART_FIRST_MS : before * 2));
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#run(host.id);
    }, before);
    this.#timers.add(timer);
  }
}
