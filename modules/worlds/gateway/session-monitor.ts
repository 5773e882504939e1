import type { Clock } from '@millrace/kernel';
import type { ConnectionLimiter } from './connection-limiter.ts';
import type { PlayerDirectory } from './player-directory.ts';
import type { PlayerPlacement } from './player-placement.ts';
import type { Session } from './session.ts';
import type { SessionDirectory } from './session-directory.ts';
import { Traffic } from './traffic.ts';
import { UpdateRate } from './update-rate.ts';

export const HEARTBEAT_MS = 10_000;
/** Heartbeats that a client may leave without a reply. */
const MISSED_HEARTBEATS_MAX = 3;
/** How often waiting sessions are retried, ms. */
const RETRY_EVERY_MS = 250;
/** A timer that is later than this, ms, means that the process or the machine was suspended. */
const SUSPENDED_MS_MIN = 1_000;

export interface MonitorParts {
  readonly clock: Clock;
  readonly directory: PlayerDirectory;
  readonly sessions: SessionDirectory;
  readonly connectionLimiter: ConnectionLimiter;
  readonly placement: PlayerPlacement;
  /** How long a session is kept for a client whose connection was lost. */
  readonly lingerMs: number;
  /** Share of the time since the last call in which this thread worked, 0 to 1. */
  readonly busy: () => number;
}

/** Timers of a gateway: heartbeats, retries, closing of silent connections and lost sessions, counts once a second. */
export class SessionMonitor {
  readonly traffic: Traffic;
  readonly updateRate = new UpdateRate();
  readonly #parts: MonitorParts;
  readonly #clock: Clock;
  /** When this process ran last, ms of the clock’s `elapsed`. */
  #ranAt: number;
  #heartbeats = 0;
  #cancels: (() => void)[] = [];
  #isStopped = false;

  constructor(parts: MonitorParts) {
    this.#parts = parts;
    this.#clock = parts.clock;
    this.traffic = new Traffic(parts.directory.zones);
    this.#ranAt = this.#clock.elapsed();
    this.#every(RETRY_EVERY_MS, () => this.#retryWaiting());
    this.#every(1_000, () => this.#everySecond());
  }

  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
  }

  #retryWaiting(): void {
    const { directory, connectionLimiter, sessions, placement, lingerMs } = this.#parts;
    this.#forgiveSuspension();
    const now = this.#clock.elapsed();
    for (const [zone, host] of directory.uncounted()) host.send({ type: 'recount', zone });
    for (const connection of connectionLimiter.silent()) connection.bye('HELLO_REQUIRED');
    for (const session of [...sessions.all()]) {
      if (!session.connection && now - session.lostAt > lingerMs) placement.abandon(session);
      else placement.retry(session, now);
      session.connection?.checkBacklog();
    }
  }

  /** Extends all limits by the time of a suspension: what clients sent during it is read only after this. */
  #forgiveSuspension(): void {
    const now = this.#clock.elapsed();
    const suspendedMs = now - this.#ranAt - RETRY_EVERY_MS;
    this.#ranAt = now;
    if (suspendedMs < SUSPENDED_MS_MIN) return;
    this.#parts.connectionLimiter.forgive(suspendedMs);
    for (const session of this.#parts.sessions.all()) {
      session.lostAt += suspendedMs;
      session.connection?.forgive(suspendedMs);
    }
  }

  #everySecond(): void {
    const { directory, sessions, busy } = this.#parts;
    this.#forgiveSuspension();
    const now = this.#clock.elapsed();
    this.#heartbeats++;
    this.traffic.count(sessions.all());
    this.updateRate.note(busy());
    for (const host of directory.hosts()) host.send({ type: 'pace', updateEveryTicks: this.updateRate.ticks });
    for (const session of sessions.all()) {
      sendViolations(session);
      this.#checkHeartbeat(session, now);
    }
  }

  #checkHeartbeat({ connection, handle }: Session, now: number): void {
    if (!connection) return;
    if (now - connection.lastFrameAt > HEARTBEAT_MS * MISSED_HEARTBEATS_MAX) connection.bye('HEARTBEAT_TIMEOUT');
    else if ((handle + this.#heartbeats) % (HEARTBEAT_MS / 1_000) === 0) connection.ping(this.#heartbeats);
  }

  #every(ms: number, work: () => void): void {
    const slot = this.#cancels.length;
    const again = () => {
      this.#cancels[slot] = this.#clock.after(ms, () => {
        work();
        if (!this.#isStopped) again();
      });
    };
    again();
  }
}

/** Reports the violations of a session to its zone, which keeps their counts. */
function sendViolations(session: Session): void {
  const { zone, host, player, violations } = session;
  if (Object.keys(violations).length === 0 || zone === null || !host) return;
  host.send({ type: 'violations', zone, player, counts: violations });
  session.violations = {};
}
