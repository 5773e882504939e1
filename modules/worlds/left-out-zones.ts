import { UserError } from '@millrace/base/user-error';
import type { WorldPlan, ZoneId } from '@millrace/contracts';
import { keyOf, kindOf, type ZoneAddress } from '@millrace/kernel';
import { allZones } from './zone/terrain.ts';
import { worldZone } from './zone/zone.ts';

/** Maximum number of zones in a message. */
const NAMED_MAX = 10;

/** Stores that know every zone which has been open for some seconds, or was closed. */
export interface ZoneLists {
  readonly hot: { zones(): ZoneAddress[] };
  readonly cold: { zones(): Promise<ZoneAddress[]> };
}

/**
 * Refuses a world that is smaller than before. A player in a zone that is left out would start anew in another zone, and be in two zones when the world is
 * made larger again.
 * @throws UserError that names the zones and the smallest world with all of them
 */
export async function requireAllZones(plan: WorldPlan, { hot, cold }: ZoneLists): Promise<void> {
  const known = [...hot.zones(), ...(await cold.zones())].filter((address) => kindOf(address) === worldZone.kind).map(keyOf);
  const zones = new Set(allZones(plan));
  const leftOut = [...new Set(known)]
    .filter((zone) => !zones.has(zone as ZoneId))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  if (leftOut.length === 0) return;
  let { columns, rows } = plan;
  for (const zone of leftOut) {
    const [column = 0, row = 0] = zone.split('-').map(Number);
    columns = Math.max(columns, column + 1);
    rows = Math.max(rows, row + 1);
  }
  const others = leftOut.length > NAMED_MAX ? ` and ${leftOut.length - NAMED_MAX} more` : '';
  throw new UserError(
    `The world of ${plan.columns} by ${plan.rows} zones leaves out existing ones: ${leftOut.slice(0, NAMED_MAX).join(', ')}${others}.`,
    `Set worlds.columns to ${columns} and worlds.rows to ${rows}, or more. For a new, smaller world use another data folder.`,
  );
}
