import type { Refused, ZoneAddress } from './definition.ts';

type Done = (refusal: Refused | null) => void;

/** Replies that wait until the log has a zone’s events up to a seq. */
export class DurableWaiters {
  /** Of each zone, ascending by seq. */
  readonly #waiters = new Map<ZoneAddress, { readonly seq: number; readonly done: Done }[]>();

  add(zone: ZoneAddress, seq: number, done: Done): void {
    const waiters = this.#waiters.get(zone) ?? [];
    // Nearly always at the end: only the retry of an earlier command waits for an earlier event.
    waiters.splice(waiters.findLastIndex((one) => one.seq <= seq) + 1, 0, { seq, done });
    this.#waiters.set(zone, waiters);
  }

  /** Answers the waiters for events of a zone up to `seq`: null when these are durable, else the reason why they never will be. */
  settle(zone: ZoneAddress, seq: number, refusal: Refused | null): void {
    const waiters = this.#waiters.get(zone) ?? [];
    const later = waiters.findIndex((one) => one.seq > seq);
    if (later === -1) this.#waiters.delete(zone);
    for (const { done } of waiters.splice(0, later === -1 ? waiters.length : later)) done(refusal);
  }

  settleAll(refusal: Refused): void {
    for (const zone of [...this.#waiters.keys()]) this.settle(zone, Number.POSITIVE_INFINITY, refusal);
  }
}
