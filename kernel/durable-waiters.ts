import { type Refused, refused, type ZoneAddress } from './command.ts';

/** Reply when it is not known whether the log has the events of a command. */
export const OUTCOME_UNKNOWN = refused('OUTCOME_UNKNOWN', 'Send the command again with the same id.');

type Done = (refusal: Refused | null) => void;

/** Replies that wait until the log has the events of a zone up to a seq. */
export class DurableWaiters {
  /** By zone, in ascending order of seq. */
  readonly #waiters = new Map<ZoneAddress, { readonly seq: number; readonly done: Done }[]>();

  add(zone: ZoneAddress, seq: number, done: Done): void {
    const waiters = this.#waiters.get(zone) ?? [];
    // Almost always appended at the end: only the retry of an earlier command waits for an earlier seq.
    waiters.splice(waiters.findLastIndex((one) => one.seq <= seq) + 1, 0, { seq, done });
    this.#waiters.set(zone, waiters);
  }

  /**
   * Settles the waiters of a zone from `fromSeq` to `seq`: with null when the events are durable, else with the reason why they never will be, or why that is
   * not known.
   */
  settle(zone: ZoneAddress, seq: number, refusal: Refused | null, fromSeq = 0): void {
    const waiters = this.#waiters.get(zone) ?? [];
    const first = waiters.findIndex((one) => one.seq >= fromSeq);
    const later = waiters.findIndex((one) => one.seq > seq);
    const settled = first === -1 ? [] : waiters.splice(first, (later === -1 ? waiters.length : later) - first);
    if (waiters.length === 0) this.#waiters.delete(zone);
    for (const { done } of settled) done(refusal);
  }

  /** Settles all waiters of all zones with a refusal. */
  settleAll(refusal: Refused): void {
    for (const zone of [...this.#waiters.keys()]) this.settle(zone, Number.POSITIVE_INFINITY, refusal);
  }
}
