import type { CommandOutcome, RestoreOutcome, WorldCommand, ZoneId } from '@millrace/contracts';
import type { PointInTime } from '@millrace/kernel';
import type { Gateway } from '../gateway/gateway.ts';
import { liveZone } from '../live-zone.ts';
import { restored } from '../zone/restore.ts';
import { itemsElsewhere } from './contents.ts';
import { type PastZone, type WorldRecord, zoneAtPoint } from './past.ts';

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

/** The last restore of each world; the next one waits for it. */
const restores = new WeakMap<RestorePorts['gateway'], Promise<unknown>>();

/** Runs restores of a world one by one: two at a time could each put back an item that no zone had when they looked. */
function oneByOne<T>({ gateway }: RestorePorts, work: () => Promise<T>): Promise<T> {
  const done = (restores.get(gateway) ?? Promise.resolve()).then(work);
  restores.set(
    gateway,
    done.catch(() => {}),
  );
  return done;
}

/**
 * Restores a zone to its state at a point in time. Players and items that other zones have now stay there. Restores of a world run one by one.
 * @throws NotOnRecord when the exact state at that point is not on record
 * @throws ApiProblem ZONE_UNAVAILABLE when the zone or one of the others does not reply
 */
export async function restoreZone(ports: RestorePorts, zone: ZoneId, request: RestoreRequest): Promise<RestoreOutcome> {
  const past = await zoneAtPoint(ports.record, zone, request.point);
  const restore = () => restoreTo(ports, zone, past, request);
  return request.dryRun ? restore() : oneByOne(ports, restore);
}

async function restoreTo(
  { gateway, zones, record, decide }: RestorePorts,
  zone: ZoneId,
  { state: past, seq: restoredSeq, hash }: PastZone,
  { dryRun, operator, reason }: RestoreRequest,
): Promise<RestoreOutcome> {
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
