import { type DrillReport, ENDPOINTS } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import type { Gateway } from '../gateway/gateway.ts';
import { issuePlayerToken, type PlayerTokenParts } from '../player-tokens.ts';
import type { WorldRecord } from '../record/past.ts';
import { type WorldConnectionInfo, worldStatus } from '../status.ts';
import { type HostControl, hostRoutes } from './host-routes.ts';
import { playerRoutes, type QueryHistory } from './player-routes.ts';
import { snapshotRoutes } from './snapshot-routes.ts';
import { ZoneAccess } from './zone-access.ts';
import { zoneRoutes } from './zone-routes.ts';

export interface WorldRouteParts extends WorldConnectionInfo, PlayerTokenParts {
  readonly gateway: Gateway;
  readonly hosts: HostControl;
  readonly record: Omit<WorldRecord, 'newest'>;
  readonly history: QueryHistory;
  /** Reports of recovery drills, newest first. */
  readonly drills: () => DrillReport[];
}

/** The operators’ API of the world. */
export function worldRoutes(routes: Routes, parts: WorldRouteParts): void {
  const { gateway, plan, hosts, record, history, drills } = parts;
  const zones = new ZoneAccess(gateway, plan, record);
  routes.handle(ENDPOINTS.getWorld, () => worldStatus(gateway, parts));
  routes.handle(ENDPOINTS.createPlayer, ({ body, principal: { user } }) => issuePlayerToken(parts, user, body));
  zoneRoutes(routes, zones, plan);
  snapshotRoutes(routes, zones);
  playerRoutes(routes, zones, history);
  routes.list(ENDPOINTS.listDrills, ({ startedAt }) => startedAt, drills);
  hostRoutes(routes, hosts);
}
