import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { HostPort } from '../messages.ts';

/**
 * Known location of a player. A zone with `isNew: false` has reported the player. With `isNew: true` the player was sent there as a newcomer; its next
 * connection must go there, too, because that zone may have it. `unknown`: a zone has or had it, so all must be queried. `nowhere`: it is in no zone.
 */
export type Location = { readonly zone: ZoneId; readonly isNew: boolean } | 'unknown' | 'nowhere';

/** The gateway’s own index of the world: the host of each zone, the zone of each player, and the population of each zone with players bound for it. */
export class PlayerDirectory {
  readonly zones: readonly ZoneId[];
  readonly #hosts = new Map<ZoneId, HostPort>();
  /** Zones that have reported their players. */
  readonly #counted = new Set<ZoneId>();
  readonly #zones = new Map<PlayerId, ZoneId>();
  /** Newcomers whose zone has not reported them yet. */
  readonly #newcomers = new Map<PlayerId, ZoneId>();
  /** Players that were between two zones at the report, or not found in the expected zone. */
  readonly #unknown = new Set<PlayerId>();
  readonly #population = new Map<ZoneId, number>();

  constructor(zones: readonly ZoneId[]) {
    this.zones = zones;
  }

  /** Call it when a zone was opened on a host, or is on none. */
  placed(zone: ZoneId, host: HostPort | null): void {
    if (host) this.#hosts.set(zone, host);
    else this.#hosts.delete(zone);
  }

  hostOf(zone: ZoneId): HostPort | undefined {
    return this.#hosts.get(zone);
  }

  /** Hosts that have a zone open, each once. */
  hosts(): ReadonlySet<HostPort> {
    return new Set(this.#hosts.values());
  }

  get openZones(): number {
    return this.#hosts.size;
  }

  /** Stores a zone’s report: the players it has, and those that may be in it, or in another zone, soon. */
  counted(zone: ZoneId, players: readonly PlayerId[], between: readonly PlayerId[]): void {
    this.#counted.add(zone);
    for (const player of players) this.arrived(player, zone);
    for (const player of between) if (this.locationOf(player) === 'nowhere') this.#unknown.add(player);
  }

  /** Open zones that have not reported their players yet. */
  uncounted(): readonly [ZoneId, HostPort][] {
    return [...this.#hosts].filter(([zone]) => !this.#counted.has(zone));
  }

  /** Whether every zone has reported its players. Then a player that is in none is new. */
  get isWhole(): boolean {
    return this.zones.every((zone) => this.#counted.has(zone));
  }

  /** A zone has reported that it has a player. */
  arrived(player: PlayerId, zone: ZoneId): void {
    this.#zones.set(player, zone);
    this.#newcomers.delete(player);
    this.#unknown.delete(player);
  }

  /** A newcomer is sent to a zone. It is sent to no other until that zone has denied that it has it. */
  sent(newcomer: PlayerId, zone: ZoneId): void {
    this.#newcomers.set(newcomer, zone);
    this.#unknown.delete(newcomer);
  }

  /** A zone has admitted a newcomer whose connection has closed. A location from another zone is newer and stays. */
  created(newcomer: PlayerId, zone: ZoneId): void {
    if (this.#newcomers.get(newcomer) === zone) this.arrived(newcomer, zone);
  }

  /** A zone has deleted a player for good. A location from another zone is newer and stays. */
  forgotten(player: PlayerId, zone: ZoneId): void {
    if (this.#zones.get(player) === zone) this.#zones.delete(player);
  }

  /** A player is not in the zone where it was expected or sent. */
  lost(player: PlayerId): void {
    this.#zones.delete(player);
    this.#newcomers.delete(player);
    this.#unknown.add(player);
  }

  locationOf(player: PlayerId): Location {
    const zone = this.#zones.get(player);
    if (zone !== undefined) return { zone, isNew: false };
    const sentTo = this.#newcomers.get(player);
    if (sentTo !== undefined) return { zone: sentTo, isNew: true };
    return this.#unknown.has(player) ? 'unknown' : 'nowhere';
  }

  /** The zone that reported a player last. */
  zoneOf(player: PlayerId): ZoneId | undefined {
    return this.#zones.get(player);
  }

  get players(): number {
    return this.#zones.size;
  }

  /** Moves one player from the population of a zone to that of another; null for none. */
  bound(from: ZoneId | null, to: ZoneId | null): void {
    if (from !== null) this.#population.set(from, (this.#population.get(from) ?? 1) - 1);
    if (to !== null) this.#population.set(to, (this.#population.get(to) ?? 0) + 1);
  }

  /** The zone with the fewest players; among the open zones when there are any. */
  emptiest(): ZoneId {
    const open = this.zones.filter((zone) => this.#hosts.has(zone));
    const candidates = open.length > 0 ? open : this.zones;
    return candidates.reduce((least, zone) => ((this.#population.get(zone) ?? 0) < (this.#population.get(least) ?? 0) ? zone : least));
  }
}
