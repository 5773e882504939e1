import { REFUSALS } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import { RecentValues } from '@millrace/telemetry';
import { CodeCounts } from './code-counts.ts';
import type { Connection } from './connection.ts';
import type { Session } from './session.ts';
import { encodeFrame } from './wire.ts';

/** Newest reply times that are kept: some seconds of a busy gateway. */
const LATENCIES = 8_192;

/** Refusals that are no fault of the player. */
const FAILURES: readonly string[] = ['ZONE_MOVING', 'BUSY'];

/** Replies to players’ commands: decisions of zones, and the gateway’s own replies to commands that no zone will decide. */
export class CommandReplies {
  /** Times from the frame to the reply, ms. */
  readonly latencies = new RecentValues(LATENCIES);
  readonly refusals = new CodeCounts();
  readonly #clock: Clock;
  #replied = 0;
  #failed = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts the reply of a zone. */
  record(ms: number, code: string | null): void {
    this.latencies.add(ms);
    this.#replied++;
    if (FAILURES.includes(code ?? '')) this.#failed++;
    if (code) this.refusals.add(code);
  }

  /** Refuses a command that no zone will decide, because its zone is on no host or the player is between two zones. */
  refuseMoving(connection: Connection, n: number): void {
    this.#countFailure('ZONE_MOVING');
    connection.refuse(n, 'ZONE_MOVING');
  }

  /** Refuses a command that the client sent too early: before the reply to its `join`, or with too many others pending. It does not count as answered. */
  refuseEarly(connection: Connection, n: number, code: 'ZONE_MOVING' | 'BUSY'): void {
    this.refusals.add(code);
    connection.refuse(n, code);
  }

  /** Commands with a reply since the last call, and those of them that failed through no fault of the player. */
  takeFailures(): { answered: number; failed: number } {
    const taken = { answered: this.#replied, failed: this.#failed };
    this.#replied = 0;
    this.#failed = 0;
    return taken;
  }

  /**
   * Replies to commands that were sent before the session entered its zone: the zone will not decide them any more.
   * @param accepted numbers that the zone has accepted
   */
  settleEntered(session: Session, accepted: readonly number[]): void {
    for (const n of oldestFirst(session)) {
      if (n === session.joinN || accepted.includes(n)) this.#accept(session, n);
      else {
        // A number that only the client reports may never have been sent.
        if (session.isReported(n)) this.refusals.add('LOST');
        else this.#countFailure('LOST');
        this.#refuse(session, n, 'LOST');
      }
    }
  }

  /**
   * Replies to the pending commands of a session that leaves the world: accepts a `leave`, refuses a `join`, and reports later commands as lost.
   * @param code why it was not admitted; null when it has left
   */
  settleLeft(session: Session, code: string | null): void {
    for (const n of oldestFirst(session)) {
      if (code === null && session.isUncounted(n)) this.#accept(session, n);
      else {
        const refusal = n === session.joinN && code !== null ? code : 'LOST';
        this.refusals.add(refusal);
        this.#refuse(session, n, refusal);
      }
    }
  }

  #accept(session: Session, n: number): void {
    session.reply(n, null, encodeFrame({ t: 'ok', n }), this.#clock.elapsed());
  }

  #countFailure(code: string): void {
    this.#replied++;
    this.#failed++;
    this.refusals.add(code);
  }

  #refuse(session: Session, n: number, code: string): void {
    session.reply(n, code, encodeFrame({ t: 'refused', n, code, message: REFUSALS[code]?.description ?? '' }), this.#clock.elapsed());
  }
}

function oldestFirst({ unanswered }: Session): number[] {
  return [...unanswered.keys()].sort((one, other) => one - other);
}
