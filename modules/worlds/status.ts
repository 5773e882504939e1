import type { Player, PlayerId, PlayerStatus, World, WorldPlan, WorldZoneStatus } from '@millrace/contracts';
import type { Gateway } from './gateway/gateway.ts';

/*
 * Status of the world for operators.
 */

/** Plan of the world, and how clients connect. */
export interface WorldConnectionInfo {
  readonly plan: WorldPlan;
  readonly tcpPort: number;
  readonly socketPath: string;
  readonly guests: boolean;
}

export function worldStatus(gateway: Gateway, { plan, tcpPort, socketPath, guests }: WorldConnectionInfo): World {
  const { casting: _casting, ...stats } = gateway.stats();
  const [p50 = null, p99 = null] = gateway.decisions.quantiles([0.5, 0.99]);
  return { plan, tcpPort, socketPath, guests, decisionMs: { p50, p99 }, ...stats };
}

/** Status of all zones, from the reports of their hosts and the counts of the gateway. */
export function zoneStatuses(gateway: Gateway): WorldZoneStatus[] {
  return gateway.zoneTraffic().map(({ zone, sessions, packetsIn, packetsOut, rttMs }) => {
    const stats = gateway.hostStatsOf(zone);
    return {
      zone,
      host: gateway.hostOf(zone),
      sessions,
      awake: stats?.awake ?? 0,
      asleep: stats?.asleep ?? 0,
      inTransit: stats?.inTransit ?? 0,
      flagged: stats?.flagged ?? 0,
      seq: stats?.seq ?? 0,
      epoch: stats?.epoch ?? 0,
      waiting: stats?.waiting ?? 0,
      ticks: stats?.ticks ?? 0,
      tickMsMean: stats?.tickMsMean ?? 0,
      tickMsMax: stats?.tickMsMax ?? 0,
      lateMsMax: stats?.lateMsMax ?? 0,
      skippedTicks: stats?.skippedTicks ?? 0,
      packetsIn,
      packetsOut,
      rttMs,
      accepted: stats?.accepted ?? 0,
      refused: stats?.refused ?? 0,
      events: stats?.events ?? 0,
      hotAt: stats?.hotAt || null,
      coldAt: stats?.coldAt || null,
    };
  });
}

/** Live status of a player; undefined when no zone has it. */
export async function playerStatus(gateway: Gateway, id: PlayerId): Promise<PlayerStatus | undefined> {
  const zone = gateway.zoneOf(id);
  if (zone === undefined) return undefined;
  const session = gateway.sessionOf(id);
  const live = (await gateway.ask({ about: 'player', zone, player: id })) as { player: Player | null } | null;
  const { connection } = session ?? {};
  return {
    id,
    zone,
    host: gateway.hostOf(zone),
    connected: connection !== null && connection !== undefined,
    remote: connection?.remote ?? null,
    rttMs: connection?.rttMs ?? null,
    framesIn: connection?.counts.framesIn ?? 0,
    framesOut: connection?.counts.framesOut ?? 0,
    droppedUpdates: connection?.counts.droppedUpdates ?? 0,
    player: live?.player ?? null,
  };
}
