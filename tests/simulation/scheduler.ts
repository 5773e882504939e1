import type { Clock } from '@millrace/kernel';
import { Draw } from './draw.ts';

/** Start of simulated time, epoch ms. */
const EPOCH = Date.UTC(2026, 0, 1);

interface Entry {
  readonly time: number;
  /** Order of scheduling among entries of one time. */
  readonly order: number;
  run: (() => void) | null;
}

/**
 * The only source of time, order and randomness in a simulation. All random numbers come from the seed, so a seed always gives the same run.
 */
export class Scheduler extends Draw {
  /** Ms since the start. */
  now = 0;
  readonly #heap: Entry[] = [];
  #order = 0;

  /** @returns function that cancels it */
  at(time: number, run: () => void): () => void {
    const entry: Entry = { time: Math.max(time, this.now), order: this.#order++, run };
    this.#push(entry);
    return () => {
      entry.run = null;
    };
  }

  /** Runs everything that is due up to `time`, and all pending promise callbacks after each step. */
  async runUntil(time: number): Promise<void> {
    await settled();
    for (let next = this.#heap[0]; next && next.time <= time; next = this.#heap[0]) {
      this.#pop();
      this.now = next.time;
      if (!next.run) continue;
      next.run();
      await settled();
    }
    this.now = time;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(entry, heap[above] as Entry)) break;
      heap[at] = heap[above] as Entry;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Entry, heap[below] as Entry)) below++;
      if (!isBefore(heap[below] as Entry, last)) break;
      heap[at] = heap[below] as Entry;
      at = below;
    }
    heap[at] = last;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}

/** Resolves when all promise callbacks have run. Nothing in a simulation waits for real input or output. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * A simulated machine and its clock. A crash cancels everything scheduled. While it is paused, time passes and nothing runs. Its wall clock may be set.
 */
export class Machine implements Clock {
  readonly name: string;
  readonly scheduler: Scheduler;
  isUp = true;
  /** Error of its wall clock, ms. */
  offsetMs = 0;
  /** Maximum delay of its event loop, ms: messages that arrive meanwhile are processed together. */
  busyMs = 0;
  #life = 0;
  #isPaused = false;
  #held: (() => void)[] = [];

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.scheduler = scheduler;
  }

  /** Whole milliseconds, like the system clock. */
  now(): number {
    return Math.floor(EPOCH + this.scheduler.now + this.offsetMs);
  }

  elapsed(): number {
    return this.scheduler.now;
  }

  soon(callback: () => void): void {
    this.after(this.busyMs === 0 ? 0 : this.scheduler.between(0, this.busyMs), callback);
  }

  after(ms: number, callback: () => void): () => void {
    const life = this.#life;
    return this.scheduler.at(this.scheduler.now + ms, () => life === this.#life && this.run(callback));
  }

  /** Runs at once, later if it is paused, never if it is down. */
  run(callback: () => void): void {
    if (!this.isUp) return;
    if (this.#isPaused) this.#held.push(callback);
    else callback();
  }

  /**
   * Sends a request to a service: `work` runs there after a delay, even if this machine crashes, and the response arrives here after another delay, unless
   * this machine has crashed.
   */
  ask<T>(ms: number, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const life = this.#life;
      this.scheduler.at(this.scheduler.now + ms, () => {
        let answer: () => void;
        try {
          const done = work();
          answer = () => resolve(done);
        } catch (error) {
          answer = () => reject(error);
        }
        this.scheduler.at(this.scheduler.now + ms, () => life === this.#life && this.run(answer));
      });
    });
  }

  crash(): void {
    this.#life++;
    this.isUp = false;
    this.#isPaused = false;
    this.#held = [];
  }

  start(): void {
    this.isUp = true;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const held = this.#held;
    this.#held = [];
    const life = this.#life;
    for (const callback of held) if (life === this.#life) this.run(callback);
  }

  /** Number of its crashes. What was sent to it before the last one does not arrive. */
  get life(): number {
    return this.#life;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }
}
