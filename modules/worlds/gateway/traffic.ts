import type { ZoneId } from '@millrace/contracts';
import type { Session } from './session.ts';

/** The gateway’s counts of a zone. */
export interface ZoneTraffic {
  readonly zone: ZoneId;
  readonly sessions: number;
  /** Packets of the last second. */
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** Mean round-trip time to its players, ms; null before the first pong. */
  readonly rttMs: number | null;
}

/** Counts sessions and packets of each zone once a second, independent of the readers. */
export class Traffic {
  readonly #zones: readonly ZoneId[];
  readonly #before = new Map<ZoneId, { in: number; out: number }>();
  #newest: readonly ZoneTraffic[];

  constructor(zones: readonly ZoneId[]) {
    this.#zones = zones;
    this.#newest = zones.map((zone) => ({ zone, sessions: 0, packetsIn: 0, packetsOut: 0, rttMs: null }));
  }

  get newest(): readonly ZoneTraffic[] {
    return this.#newest;
  }

  count(sessions: Iterable<Session>): void {
    const tallies = new Map(this.#zones.map((zone) => [zone, { sessions: 0, in: 0, out: 0, rtt: 0, pings: 0 }]));
    for (const { zone, connection, stage } of sessions) {
      const tally = zone === null ? undefined : tallies.get(zone);
      if (!tally || stage === 'lobby') continue;
      tally.sessions++;
      if (!connection) continue;
      tally.in += connection.counts.framesIn;
      tally.out += connection.counts.framesOut;
      if (connection.rttMs === null) continue;
      tally.rtt += connection.rttMs;
      tally.pings++;
    }
    this.#newest = [...tallies].map(([zone, tally]) => {
      const before = this.#before.get(zone) ?? { in: 0, out: 0 };
      this.#before.set(zone, { in: tally.in, out: tally.out });
      return {
        zone,
        sessions: tally.sessions,
        // A connection that left has taken its counts along, so the difference can be negative.
        packetsIn: Math.max(0, tally.in - before.in),
        packetsOut: Math.max(0, tally.out - before.out),
        rttMs: tally.pings === 0 ? null : tally.rtt / tally.pings,
      };
    });
  }
}
