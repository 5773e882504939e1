import type { Collector } from '@millrace/collector';
import type { Server, World, WorldHostStatus, WorldZoneStatus } from '@millrace/contracts';
import type { ZoneHost } from '@millrace/kernel';
import type { Consumer } from '@millrace/operations';
import type { HttpServer } from '@millrace/platform/http';
import type { EventLog } from '@millrace/platform/log';
import type { Hub } from '@millrace/platform/streams';
import type { Labels, Metrics } from '@millrace/platform/telemetry';

interface Parts {
  readonly host: ZoneHost;
  readonly log: EventLog;
  readonly consumers: readonly Consumer[];
  readonly hub: Hub;
  readonly collector: Collector;
  readonly http: HttpServer;
}

/** What the world tells of itself. */
export interface WorldStats {
  readonly world: () => World;
  readonly zones: () => WorldZoneStatus[];
  readonly hosts: () => WorldHostStatus[];
}

/** Every bound and how full it is, every count that says that something was refused, lost or late. */
export function registerMetrics(metrics: Metrics, { host, log, consumers, hub, collector, http }: Parts): void {
  const one = (value: number): [Labels, number][] => [[{}, value]];
  const stats = () => host.stats();
  metrics.read('millrace_zones', 'Zones open on this host', () => one(stats().zones));
  metrics.read('millrace_mailbox_commands', 'Commands waiting in mailboxes', () => one(stats().waitingCommands));
  metrics.read('millrace_commands_decided_total', 'Commands decided', () => one(stats().decidedCommands));
  metrics.read('millrace_commands_refused_busy_total', 'Commands refused because a mailbox was full', () => one(stats().refusedBusy));
  metrics.read('millrace_zone_failures_total', 'Zones that failed and were rebuilt', () => one(stats().zoneFailures));
  metrics.read('millrace_snapshots_skipped_total', 'Snapshots skipped because the log was too far behind', () =>
    one(stats().snapshotsSkipped),
  );
  metrics.read('millrace_outbox_events', 'Decided events waiting in memory for the log', () => one(stats().outbox.waitingEvents));
  metrics.read('millrace_outbox_events_max', 'Maximum number of events in the outbox', () => one(stats().outbox.waitingEventsMax));
  metrics.read('millrace_spool_bytes', 'Decided events waiting on disk for the log', () => one(stats().outbox.spooledBytes));
  metrics.read('millrace_spool_bytes_max', 'Maximum size of the spool', () => one(stats().outbox.spooledBytesMax));
  metrics.read('millrace_events_lost_total', 'Events lost because the spool was full', () => one(stats().outbox.lostEvents));
  metrics.read('millrace_events_appended_total', 'Events written to the log', () => one(stats().outbox.appendedEvents));
  metrics.read('millrace_log_bytes', 'Size of the log', () => one(log.stats().bytes));
  metrics.read('millrace_log_end_offset', 'End of each partition of the log', () =>
    log.stats().partitions.map(({ end }, partition): [Labels, number] => [{ partition: String(partition) }, end]),
  );
  metrics.read('millrace_consumer_lag_events', 'Lag of a consumer group in events', () =>
    consumers.map((consumer): [Labels, number] => [{ group: consumer.group }, consumer.status().lag]),
  );
  metrics.read('millrace_dead_letters', 'Dead letters', () => one(log.deadLetters.list().length));
  metrics.read('millrace_stream_readers', 'Open streams', () => one(hub.stats().readers));
  metrics.read('millrace_stream_history_events', 'Events in stream histories, for resume', () => one(hub.stats().historyEvents));
  metrics.read('millrace_stream_events_published_total', 'Events published to channels', () => one(hub.stats().published));
  metrics.read('millrace_stream_events_delivered_total', 'Events delivered to readers', () => one(hub.stats().delivered));
  metrics.read('millrace_stream_events_conflated_total', 'Events replaced by newer ones for slow readers', () =>
    one(hub.stats().conflated),
  );
  metrics.read('millrace_stream_slow_readers_ended_total', 'Readers disconnected because they were too slow', () =>
    one(hub.stats().slowReadersEnded),
  );
  metrics.read('millrace_stream_gaps_total', 'Gap events sent to readers', () => one(hub.stats().gaps));
  metrics.read('millrace_cache_responses', 'Cached responses', () => one(http.cache.stats().responses));
  metrics.read('millrace_cache_bytes', 'Size of the response cache', () => one(http.cache.stats().bytes));
  metrics.read('millrace_cache_hits_total', 'Responses served from the cache', () => one(http.cache.stats().hits));
  metrics.read('millrace_cache_stale_total', 'Stale responses served from the cache during a refresh', () => one(http.cache.stats().stale));
  metrics.read('millrace_cache_misses_total', 'Responses computed because the cache had none', () => one(http.cache.stats().misses));
  metrics.read('millrace_cache_invalidations_total', 'Cached responses invalidated by events', () => one(http.cache.stats().invalidated));
  metrics.read('millrace_source_frames_total', 'Frames received', () =>
    collector.sources().map((source): [Labels, number] => [{ source: source.id }, source.describe().frames]),
  );
  metrics.read('millrace_source_live', '1 if a source is live, else 0', () =>
    collector.sources().map((source): [Labels, number] => [{ source: source.id }, source.state === 'live' ? 1 : 0]),
  );
  metrics.read('millrace_history_calls_total', 'Calls to the history API of a source, by outcome', () =>
    collector.sources().flatMap((source): [Labels, number][] => {
      const { calls, failures, retries } = source.historyCalls;
      return Object.entries({ calls, failures, retries }).map(([kind, count]) => [{ source: source.id, kind }, count]);
    }),
  );
  metrics.read('millrace_history_circuit_open', '1 if the circuit breaker of a source’s history API is open, else 0', () =>
    collector.sources().map((source): [Labels, number] => [{ source: source.id }, source.historyCalls.circuit === 'open' ? 1 : 0]),
  );
  metrics.read('millrace_source_refused_total', 'Frames put into quarantine, by kind', () =>
    collector
      .sources()
      .flatMap((source) =>
        Object.entries(source.describe().refused).map(([kind, count]): [Labels, number] => [{ source: source.id, kind }, count]),
      ),
  );
}

/** The world: how many play, how healthy its zones are, how full its queues. */
export function registerWorldMetrics(metrics: Metrics, { world, zones, hosts }: WorldStats): void {
  const ofZone = (figure: (zone: WorldZoneStatus) => number) => () =>
    zones().map((zone): [Labels, number] => [{ zone: zone.zone }, figure(zone)]);
  const ofHost = (figure: (host: WorldHostStatus) => number) => () =>
    hosts().map((host): [Labels, number] => [{ host: host.id }, figure(host)]);
  metrics.read('millrace_world_connections', 'Open connections of players', () => [[{}, world().connections]]);
  metrics.read(
    'millrace_world_players',
    'Players with an open session in a zone',
    ofZone(({ sessions }) => sessions),
  );
  metrics.read(
    'millrace_world_tick_longest_seconds',
    'Longest tick in the last second',
    ofZone(({ tickMsMax }) => tickMsMax / 1_000),
  );
  metrics.read(
    'millrace_world_tick_late_seconds',
    'Maximum delay of a tick in the last second',
    ofZone(({ lateMsMax }) => lateMsMax / 1_000),
  );
  metrics.read(
    'millrace_world_mailbox_commands',
    'Commands waiting at a zone',
    ofZone(({ waiting }) => waiting),
  );
  metrics.read(
    'millrace_world_epoch',
    'Epoch of a zone: number of ownership changes',
    ofZone(({ epoch }) => epoch),
  );
  metrics.read('millrace_world_decision_seconds', 'Time from a player’s frame to its reply', () =>
    Object.entries(world().decisionMs).map(([quantile, ms]): [Labels, number] => [{ quantile }, (ms ?? 0) / 1_000]),
  );
  metrics.read('millrace_world_refusals_total', 'Commands of players refused, by code', () =>
    Object.entries(world().refusals).map(([code, count]): [Labels, number] => [{ code }, count]),
  );
  metrics.read('millrace_world_disconnects_total', 'Connections of players ended by the server, by code', () =>
    Object.entries(world().disconnects).map(([code, count]): [Labels, number] => [{ code }, count]),
  );
  metrics.read(
    'millrace_world_host_zones',
    'Zones open at a host',
    ofHost(({ open }) => open),
  );
  metrics.read(
    'millrace_world_host_outbox_events',
    'Decided events of a host waiting in memory for the log',
    ofHost(({ outboxEvents }) => outboxEvents),
  );
  metrics.read(
    'millrace_world_host_spool_bytes',
    'Decided events of a host waiting on disk for the log',
    ofHost(({ spoolBytes }) => spoolBytes),
  );
  metrics.read(
    'millrace_world_host_events_lost_total',
    'Events of a host lost because the spool was full',
    ofHost(({ lostEvents }) => lostEvents),
  );
  metrics.read(
    'millrace_world_host_memory_bytes',
    'Resident memory of a host',
    ofHost(({ memoryBytes }) => memoryBytes),
  );
}

/** The servers behind a gateway, and what goes through to them. */
export function registerGatewayMetrics(
  metrics: Metrics,
  { servers, http }: { readonly servers: () => Server[]; readonly http: HttpServer },
): void {
  const ofEach = (value: (server: Server) => number) => () =>
    servers().map((server): [Labels, number] => [{ server: server.address ?? '' }, value(server)]);
  metrics.read(
    'millrace_gateway_server_up',
    '1 if a server behind this gateway is available, else 0',
    ofEach(({ state }) => (state === 'available' ? 1 : 0)),
  );
  metrics.read(
    'millrace_gateway_server_circuit_open',
    '1 if the circuit breaker of a server is open, else 0',
    ofEach(({ circuit }) => (circuit === 'open' ? 1 : 0)),
  );
  metrics.read(
    'millrace_gateway_requests_total',
    'Requests sent to a server',
    ofEach(({ requests }) => requests),
  );
  metrics.read(
    'millrace_gateway_failures_total',
    'Requests that a server did not answer',
    ofEach(({ failures }) => failures),
  );
  metrics.read(
    'millrace_gateway_open_exchanges',
    'Open requests, streams and connections through this gateway, by server',
    ofEach(({ open }) => open),
  );
  metrics.read('millrace_gateway_streams', 'Streams open at this gateway', () => [[{}, http.streams.size]]);
}
