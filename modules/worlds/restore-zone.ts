import type { CommandOutcome, RestoreOutcome, WorldCommand, ZoneId } from '@millrace/contracts';
import type { PointInTime } from '@millrace/kernel';
import { itemsElsewhere } from './contents.ts';
import type { Gateway } from './gateway.ts';
import { liveZone } from './live-zone.ts';
import { type WorldRecord, zoneAtPoint } from './past.ts';
import { restored } from './restore.ts';

/** How often a restore is tried while players keep leaving the zone. */
const ATTEMPTS_MAX = 5;

export interface RestorePorts {
  readonly gateway: Pick<Gateway, 'ask'>;
  readonly zones: readonly ZoneId[];
  readonly record: WorldRecord;
  /** Sends a command to a zone; resolves with what was decided when that is on record. */
  readonly decide: (zone: ZoneId, command: WorldCommand) => Promise<CommandOutcome>;
}

export interface RestoreRequest {
  readonly point: PointInTime;
  readonly operator: string;
  readonly reason: string;
  /** Only tells what would change. */
  readonly dryRun: boolean;
}

/**
 * Brings a zone back to what it was at a past moment, as far as the other zones allow it: what they have stays there.
 * @throws NotOnRecord when the record does not say exactly what the zone was then
 * @throws ApiProblem ZONE_UNAVAILABLE when the zone or one of the others does not answer
 */
export async function restoreZone(
  { gateway, zones, record, decide }: RestorePorts,
  zone: ZoneId,
  { point: asked, dryRun, operator, reason }: RestoreRequest,
): Promise<RestoreOutcome> {
  const { state: past, seq: restoredSeq, hash } = await zoneAtPoint(record, zone, asked);
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
