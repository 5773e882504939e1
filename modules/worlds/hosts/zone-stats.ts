import type { ZoneId } from '@millrace/contracts';
import { type ZoneHost, zoneAddress } from '@millrace/kernel';
import type { ZoneStats } from '../messages.ts';
import type { World } from '../zone/world-state.ts';
import { worldZone } from '../zone/zone.ts';

/** Counts of a zone since the last report. */
export interface ZoneCounts {
  ticks: number;
  tickMs: number;
  tickMsMax: number;
  lateMsMax: number;
  skippedTicks: number;
  accepted: number;
  refused: number;
  events: number;
}

export function noCounts(): ZoneCounts {
  return { ticks: 0, tickMs: 0, tickMsMax: 0, lateMsMax: 0, skippedTicks: 0, accepted: 0, refused: 0, events: 0 };
}

/** Counts a tick: how long it took and how late it was, ms, and how many ticks were skipped before it. */
export function countTick(counts: ZoneCounts, ms: number, lateMs: number, skipped: number): void {
  counts.ticks++;
  counts.tickMs += ms;
  counts.tickMsMax = Math.max(counts.tickMsMax, ms);
  counts.lateMsMax = Math.max(counts.lateMsMax, lateMs);
  counts.skippedTicks += skipped;
}

/**
 * What a host reports of a zone: its counts, and its state as it is now.
 * @param snapshots epoch ms of the newest snapshot in each store
 */
export function zoneStatsOf(
  zone: ZoneId,
  counts: ZoneCounts,
  host: ZoneHost | null,
  snapshots: { readonly hotAt: number; readonly coldAt: number },
): ZoneStats {
  const address = zoneAddress(worldZone.kind, zone);
  const view = host?.view(address);
  const state = view?.state as World | undefined;
  const players = Object.values(state?.players ?? {});
  return {
    zone,
    awake: state?.awake ?? 0,
    asleep: players.length - (state?.awake ?? 0),
    inTransit: Object.keys(state?.departures ?? {}).length,
    flagged: players.filter(({ violations }) => violations.total > 0).length,
    seq: view?.seq ?? 0,
    epoch: view?.epoch ?? 0,
    waiting: host?.waiting(address) ?? 0,
    ticks: counts.ticks,
    tickMsMean: counts.ticks === 0 ? 0 : counts.tickMs / counts.ticks,
    tickMsMax: counts.tickMsMax,
    lateMsMax: counts.lateMsMax,
    skippedTicks: counts.skippedTicks,
    accepted: counts.accepted,
    refused: counts.refused,
    events: counts.events,
    hotAt: snapshots.hotAt,
    coldAt: snapshots.coldAt,
  };
}
