import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { HostPort } from './messages.ts';

/**
 * What is known of a player: the zone that says it has it; the zone it was sent to as a newcomer, where another connection of it must go, too, for that
 * zone may have it already; that it has to be looked for, since zones have or had it; or that it is in none, so that it is new.
 */
export type Location = { readonly zone: ZoneId; readonly isNew: boolean } | 'unknown' | 'nowhere';

/** What is known of the world without asking: which host has each zone, which zone has each player, and how many are in each or bound there. */
export class PlayerDirectory {
  readonly zones: readonly ZoneId[];
  readonly #hosts = new Map<ZoneId, HostPort>();
  /** Zones that have said whom they have. */
  readonly #counted = new Set<ZoneId>();
  readonly #zones = new Map<PlayerId, ZoneId>();
  /** Newcomers whose zone has not said yet that it has them. */
  readonly #newcomers = new Map<PlayerId, ZoneId>();
  /** Players between two zones when those were counted, or not where they were believed to be. */
  readonly #unknown = new Set<PlayerId>();
  readonly #population = new Map<ZoneId, number>();

  constructor(zones: readonly ZoneId[]) {
    this.zones = zones;
  }

  /** A zone is open at a host now, or at none. */
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

  /** A zone has said whom it has, and who may be in it soon, or in another. */
  counted(zone: ZoneId, players: readonly PlayerId[], between: readonly PlayerId[]): void {
    this.#counted.add(zone);
    for (const player of players) this.arrived(player, zone);
    for (const player of between) if (this.locationOf(player) === 'nowhere') this.#unknown.add(player);
  }

  /** Open zones that have not said yet whom they have. */
  uncounted(): readonly [ZoneId, HostPort][] {
    return [...this.#hosts].filter(([zone]) => !this.#counted.has(zone));
  }

  /** Whether every zone has said whom it has: then whoever is in none is new. */
  get isWhole(): boolean {
    return this.zones.every((zone) => this.#counted.has(zone));
  }

  /** A player is in a zone, as that one says. */
  arrived(player: PlayerId, zone: ZoneId): void {
    this.#zones.set(player, zone);
    this.#newcomers.delete(player);
    this.#unknown.delete(player);
  }

  /** A player that is in no zone is sent to one, and to no other until that one has said that it does not have it. */
  sent(newcomer: PlayerId, zone: ZoneId): void {
    this.#newcomers.set(newcomer, zone);
    this.#unknown.delete(newcomer);
  }

  /** A zone says that it has let a newcomer in, whose connection is gone by now. What is known from elsewhere is newer. */
  created(newcomer: PlayerId, zone: ZoneId): void {
    if (this.#newcomers.get(newcomer) === zone) this.arrived(newcomer, zone);
  }

  /** A player is not where it was believed to be, or sent. */
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

  /** The zone that says it has a player. */
  zoneOf(player: PlayerId): ZoneId | undefined {
    return this.#zones.get(player);
  }

  get players(): number {
    return this.#zones.size;
  }

  /** Someone who was in one zone, or bound there, is bound for another now; null for none. */
  bound(from: ZoneId | null, to: ZoneId | null): void {
    if (from !== null) this.#population.set(from, (this.#population.get(from) ?? 1) - 1);
    if (to !== null) this.#population.set(to, (this.#population.get(to) ?? 0) + 1);
  }

  /** Where a newcomer has most room; of the open zones, when there are any. */
  emptiest(): ZoneId {
    const open = this.zones.filter((zone) => this.#hosts.has(zone));
    const candidates = open.length > 0 ? open : this.zones;
    return candidates.reduce((least, zone) => ((this.#population.get(zone) ?? 0) < (this.#population.get(least) ?? 0) ? zone : least));
  }
}
