import type { World, WorldZoneStatus } from '@millrace/contracts';
import { memo } from 'react';
import { Link } from 'wouter';
import { useIsLost } from '../live/connection.ts';
import { useText } from '../text/text.ts';
import { HEALTH_STYLE, type Health, healthOf } from './health.ts';

/** Maximum number of columns with player counts in the cells. */
const NUMBERED_COLUMNS_MAX = 16;
const LEGEND: readonly Health[] = ['healthy', 'busy', 'slow', 'critical', 'offline'];

/** Grid of zones, each coloured by its longest tick of the last second. */
export const HeatGrid = memo(function HeatGrid({ plan, zones }: { plan: World['plan']; zones: readonly WorldZoneStatus[] }) {
  const text = useText();
  const isLost = useIsLost();
  const byId = new Map(zones.map((zone) => [zone.zone, zone]));
  const isNumbered = plan.columns <= NUMBERED_COLUMNS_MAX;
  const cells = [];
  for (let row = 0; row < plan.rows; row++)
    for (let column = 0; column < plan.columns; column++) {
      const zone = byId.get(`${column}-${row}`);
      if (!zone) continue;
      const health = isLost ? 'offline' : healthOf(zone);
      cells.push(
        <Link
          key={zone.zone}
          href={`/worlds/zones/${zone.zone}`}
          title={`${zone.zone}: ${zone.sessions} ${text.playing}, ${zone.tickMsMax.toFixed(1)} ms, ${isLost ? text.unknown : text[health]}`}
          data-health={health}
          className={`grid aspect-square max-h-24 min-h-2 w-full place-items-center rounded-[3px] border border-transparent hover:border-accent ${HEALTH_STYLE[health]}`}
        >
          {isNumbered && <span className="text-[11px] sm:text-sm">{zone.host === null ? '–' : zone.sessions || '·'}</span>}
        </Link>,
      );
    }
  return (
    <div className="grid grid-cols-1 gap-3">
      <div className="grid gap-[3px]" style={{ gridTemplateColumns: `repeat(${plan.columns}, minmax(0, 1fr))` }}>
        {cells}
      </div>
      <ul className="flex flex-wrap gap-x-4 gap-y-1 text-muted text-xs">
        {LEGEND.map((health) => (
          <li key={health} className="flex items-center gap-1.5">
            <span className={`size-3 rounded-[3px] border border-transparent ${HEALTH_STYLE[health]}`} />
            {text[health]}
          </li>
        ))}
      </ul>
    </div>
  );
});
