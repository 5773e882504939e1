import type { HostId } from './messages.ts';

/** A host, as far as the placement of standbys needs it. */
export interface StandbyCandidate {
  readonly id: HostId;
  /** Name of its machine; '' when it is not known. */
  readonly machine: string;
  readonly draining: boolean;
}

/** A zone with its hosts. */
export interface StandbyZone {
  readonly owner: HostId | null;
  readonly target: HostId | null;
  readonly isOpen: boolean;
  standby: HostId | null;
}

/**
 * Assigns each open zone a standby host other than its owner: if possible on another machine, and the same number of zones to each host. A host keeps its
 * zones while that makes little difference: a new standby has to read snapshots and the log.
 * @returns the hosts whose zones have changed
 */
export function placeStandbys(zones: Iterable<StandbyZone>, candidates: Iterable<StandbyCandidate>): Set<HostId> {
  const hosts = new Map(Array.from(candidates, (host) => [host.id, host]));
  const placement = new Placement(hosts);
  const all = [...zones];
  for (const zone of all) if (zone.standby !== null && !placement.mayKeep(zone)) placement.move(zone, null);
  for (const zone of all) placement.count(zone);
  for (const zone of all) if (zone.owner !== null && zone.owner === zone.target && zone.isOpen) placement.place(zone);
  return placement.changed;
}

class Placement {
  readonly changed = new Set<HostId>();
  readonly #hosts: ReadonlyMap<HostId, StandbyCandidate>;
  readonly #counts = new Map<HostId, number>();

  constructor(hosts: ReadonlyMap<HostId, StandbyCandidate>) {
    this.#hosts = hosts;
  }

  /** Whether the standby of a zone may stay: also while the zone has no owner, or moves to it. */
  mayKeep({ owner, target, standby }: StandbyZone): boolean {
    const host = standby === null ? undefined : this.#hosts.get(standby);
    return host !== undefined && !host.draining && !(standby === owner && standby === target);
  }

  count({ standby }: StandbyZone): void {
    if (standby !== null) this.#counts.set(standby, this.#countOf(standby) + 1);
  }

  place(zone: StandbyZone): void {
    let best: StandbyCandidate | undefined;
    for (const host of this.#hosts.values())
      if (!host.draining && host.id !== zone.owner && (best === undefined || this.#costOf(host, zone) < this.#costOf(best, zone)))
        best = host;
    if (best === undefined || best.id === zone.standby) return;
    const present = zone.standby === null ? undefined : this.#hosts.get(zone.standby);
    if (present && this.#costOf(best, zone) + 1 >= this.#costOf(present, zone)) return;
    this.move(zone, best.id);
  }

  move(zone: StandbyZone, to: HostId | null): void {
    const { standby: from } = zone;
    if (from !== null) {
      this.changed.add(from);
      this.#counts.set(from, Math.max(0, this.#countOf(from) - 1));
    }
    zone.standby = to;
    if (to === null) return;
    this.changed.add(to);
    this.#counts.set(to, this.#countOf(to) + 1);
  }

  /** Number of its zones; more than any number on the machine of the owner. */
  #costOf({ id, machine }: StandbyCandidate, { owner }: StandbyZone): number {
    const ofOwner = owner === null ? '' : (this.#hosts.get(owner)?.machine ?? '');
    return this.#countOf(id) + (machine === ofOwner ? 1e9 : 0);
  }

  #countOf(id: HostId): number {
    return this.#counts.get(id) ?? 0;
  }
}
