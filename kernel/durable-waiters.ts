import type { Refused, ZoneAddress } from './definition.ts';

type Done = (refusal: Refused | null) => void;

interface Line {
  /** Ascending by seq; those before `first` are answered. */
  waiters: { readonly seq: number; readonly done: Done }[];
  first: number;
}

/** Answered waiters that are kept in front of the others before the list is cut. */
const ANSWERED_KEPT = 1_024;

/** Replies that wait until the log has a zone up to a seq. A landing looks only at those that it answers. */
export class DurableWaiters {
  readonly #lines = new Map<ZoneAddress, Line>();

  add(zone: ZoneAddress, seq: number, done: Done): void {
    let line = this.#lines.get(zone);
    if (!line) {
      line = { waiters: [], first: 0 };
      this.#lines.set(zone, line);
    }
    const { waiters } = line;
    // Nearly always the last: only the retry of an earlier command waits for an earlier event.
    let at = waiters.length;
    while (at > line.first && (waiters[at - 1]?.seq ?? 0) > seq) at--;
    waiters.splice(at, 0, { seq, done });
  }

  /** Answers the waiters for events of a zone up to `seq`: null when these are durable, else the reason why they never will be. */
  settle(zone: ZoneAddress, seq: number, refusal: Refused | null): void {
    const line = this.#lines.get(zone);
    if (!line) return;
    for (let next = line.waiters[line.first]; next && next.seq <= seq; next = line.waiters[line.first]) {
      line.first++;
      next.done(refusal);
    }
    if (line.first === line.waiters.length) this.#lines.delete(zone);
    else if (line.first > ANSWERED_KEPT) {
      line.waiters = line.waiters.slice(line.first);
      line.first = 0;
    }
  }

  settleAll(refusal: Refused): void {
    for (const zone of [...this.#lines.keys()]) this.settle(zone, Number.POSITIVE_INFINITY, refusal);
  }
}
