import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENDPOINTS, type WorldPlan, type ZoneId } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import { packedTiles } from '../zone/terrain.ts';
import type { ZoneAccess } from './zone-access.ts';
import { zoneRoutes } from './zone-routes.ts';

test('the map of a zone is the one that it was created with, whatever the seed of the world is now', async () => {
  const zone = '0-0' as ZoneId;
  const plan: WorldPlan = { seed: 8, columns: 1, rows: 1, monsters: 0, items: 0 };
  const handlers = new Map<unknown, (request: unknown) => unknown>();
  const routes = { list: () => {}, handle: (endpoint: unknown, handler: (request: unknown) => unknown) => handlers.set(endpoint, handler) };
  let live: object | null = { zone, seq: 1, epoch: 1, seed: 7 };
  const zones = { gateway: { ask: async () => live }, require: (id: ZoneId) => id };
  zoneRoutes(routes as unknown as Routes, zones as unknown as ZoneAccess, plan);
  const blocked = async () => {
    const map = (await handlers.get(ENDPOINTS.getZoneMap)?.({ params: { zone } })) as { blocked: string };
    return Buffer.from(map.blocked, 'base64');
  };
  assert.deepEqual(await blocked(), Buffer.from(packedTiles({ seed: 7 }, zone)));
  live = null;
  assert.deepEqual(await blocked(), Buffer.from(packedTiles(plan, zone)), 'while it has no host, that of the configuration');
});
