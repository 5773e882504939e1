import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { HostPort } from './messages.ts';

/** What is known of the world without asking: which host has each zone, which zone has each player, and how many are in each or bound there. */
export class Whereabouts {
  readonly zones: readonly ZoneId[];
  readonly #hosts = new Map<ZoneId, HostPort>();
  /** Zones that have said whom they have. */
  readonly #counted = new Set<ZoneId>();
  readonly #zones = new Map<PlayerId, ZoneId>();
  /** Players that were on the way between two zones when those were counted. */
  readonly #departing = new Set<PlayerId>();
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

  /** A zone has said whom it has, and who is on the way out of it. */
  counted(zone: ZoneId, players: readonly PlayerId[], departing: readonly PlayerId[]): void {
    this.#counted.add(zone);
    for (const player of players) this.#zones.set(player, zone);
    for (const player of departing) if (!this.#zones.has(player)) this.#departing.add(player);
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
    this.#departing.delete(player);
  }

  /** A player is not where it was believed to be. */
  lost(player: PlayerId): void {
    this.#zones.delete(player);
  }

  zoneOf(player: PlayerId): ZoneId | undefined {
    return this.#zones.get(player);
  }

  /** Whether a player was last heard of on its way between two zones. */
  isBetween(player: PlayerId): boolean {
    return this.#departing.has(player);
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
