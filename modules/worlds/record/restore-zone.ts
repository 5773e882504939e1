import type { CommandOutcome, RestoreOutcome, WorldCommand, ZoneId } from '@millrace/contracts';
import type { PointInTime } from '@millrace/kernel';
import type { Gateway } from '../gateway/gateway.ts';
import { liveZone } from '../live-zone.ts';
import { restored } from '../zone/restore.ts';
import { itemsElsewhere } from './contents.ts';
import { type WorldRecord, zoneAtPoint } from './past.ts';

/** Largest number of attempts while players keep leaving the zone. */
const ATTEMPTS_MAX = 5;

export interface RestorePorts {
  readonly gateway: Pick<Gateway, 'ask'>;
  readonly zones: readonly ZoneId[];
  readonly record: WorldRecord;
  /** Sends a command to a zone; resolves with the durable outcome. */
  readonly decide: (zone: ZoneId, command: WorldCommand) => Promise<CommandOutcome>;
}

export interface RestoreRequest {
  readonly point: PointInTime;
  readonly operator: string;
  readonly reason: string;
  /** Reports the changes without making them. */
  readonly dryRun: boolean;
}

/**
 * Restores a zone to its state at a point in time. Players and items that other zones have now stay there.
 * @throws NotOnRecord when the exact state at that point is not on record
 * @throws ApiProblem ZONE_UNAVAILABLE when the zone or one of the others does not reply
 */
export async function restoreZone(
  { gateway, zones, record, decide }: RestorePorts,
  zone: ZoneId,
  { point, dryRun, operator, reason }: RestoreRequest,
): Promise<RestoreOutcome> {
  const { state: past, seq: restoredSeq, hash } = await zoneAtPoint(record, zone, point);
  const { players, monsters, items, respawns } = past;
  const objects = { players, monsters, items, respawns };
  for (let times = 1; ; times++) {
    const { state } = await liveZone(gateway, zone);
    const elsewhere = [...(await itemsElsewhere(gateway, zones, zone))];
    const { changes } = restored(state, objects, elsewhere, record.clock.now());
    if (dryRun) return { ok: true, dryRun, restoredSeq, hash, changes };
    const outcome = await decide(zone, { type: 'RestoreZone', past: objects, restoredSeq, elsewhere, sent: state.sent, operator, reason });
    if (outcome.code !== 'PLAYERS_LEFT' || times === ATTEMPTS_MAX) return { ...outcome, dryRun, restoredSeq, hash, changes };
  }
}
