import type { ZoneId } from '@millrace/contracts';
import type { Session } from './session.ts';

/** What the gateway knows of a zone that its host does not. */
export interface ZoneTraffic {
  readonly zone: ZoneId;
  readonly sessions: number;
  /** Of the last second. */
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** Mean round trip to its players, ms; null while nobody has answered a ping. */
  readonly rttMs: number | null;
}

/** Counts sessions and packets of each zone, once a second, whoever asks and however often. */
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
        // Who left has taken its counts along.
        packetsIn: Math.max(0, tally.in - before.in),
        packetsOut: Math.max(0, tally.out - before.out),
        rttMs: tally.pings === 0 ? null : tally.rtt / tally.pings,
      };
    });
  }
}
