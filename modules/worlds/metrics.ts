import type { WorldHostStatus, WorldZoneStatus } from '@millrace/contracts';
import type { Labels, Metrics } from '@millrace/telemetry';
import type { OpenWorld } from './open-world.ts';

/** Players, zones and queues of the world. */
export function worldMetrics(metrics: Metrics, world: OpenWorld): void {
  metrics.read('millrace_world_connections', 'Open connections of players', () => [[{}, world.status().connections]]);
  metrics.read('millrace_world_decision_seconds', 'Time from a command of a player to its reply', () =>
    Object.entries(world.status().decisionMs).map(([quantile, ms]): [Labels, number] => [{ quantile }, (ms ?? 0) / 1_000]),
  );
  metrics.read('millrace_world_refusals_total', 'Refused commands of players, by code', () =>
    Object.entries(world.status().refusals).map(([code, count]): [Labels, number] => [{ code }, count]),
  );
  metrics.read('millrace_world_disconnects_total', 'Connections of players that the server closed, by code', () =>
    Object.entries(world.status().disconnects).map(([code, count]): [Labels, number] => [{ code }, count]),
  );
  const ofZone = (name: string, help: string, value: (zone: WorldZoneStatus) => number) =>
    metrics.read(name, help, () => world.zoneStatuses().map((zone): [Labels, number] => [{ zone: zone.zone }, value(zone)]));
  ofZone('millrace_world_players', 'Players in a zone', ({ sessions }) => sessions);
  ofZone('millrace_world_tick_longest_seconds', 'Longest tick of the last second', ({ tickMsMax }) => tickMsMax / 1_000);
  ofZone('millrace_world_tick_late_seconds', 'Longest delay of a tick in the last second', ({ lateMsMax }) => lateMsMax / 1_000);
  ofZone('millrace_world_mailbox_commands', 'Commands that wait at a zone', ({ waiting }) => waiting);
  ofZone('millrace_world_epoch', 'Epoch of a zone: the number of owners of its shard so far', ({ epoch }) => epoch);
  const ofHost = (name: string, help: string, value: (host: WorldHostStatus) => number) =>
    metrics.read(name, help, () => world.hosts.control.statuses().map((host): [Labels, number] => [{ host: host.id }, value(host)]));
  ofHost('millrace_world_host_zones', 'Open zones of a host', ({ open }) => open);
  ofHost('millrace_world_host_standby_zones', 'Zones of other hosts that a host keeps a copy of', ({ standbyZones }) => standbyZones);
  ofHost('millrace_world_host_standby_lag_records', 'Records of the log that the copies of a host lack', ({ standbyLag }) => standbyLag);
  ofHost('millrace_world_host_outbox_events', 'Events of a host that wait in memory for the log', ({ outboxEvents }) => outboxEvents);
  ofHost('millrace_world_host_spool_bytes', 'Events of a host that wait on disk for the log', ({ spoolBytes }) => spoolBytes);
  ofHost(
    'millrace_world_host_events_lost_total',
    'Events of a host that were lost because the spool was full',
    ({ lostEvents }) => lostEvents,
  );
  ofHost('millrace_world_host_memory_bytes', 'Resident memory of a host', ({ memoryBytes }) => memoryBytes);
}
