import { LastKnown } from '@millrace/base/last-known';
import type { Server } from '@millrace/contracts';
import type { HttpServer } from '@millrace/http';
import type { HostStats } from '@millrace/kernel';
import type { Consumer } from '@millrace/module';
import type { Hub } from '@millrace/streams';
import type { Labels, Metrics } from '@millrace/telemetry';
import type { Topic } from '@millrace/topics';

type BrokerReplicas = NonNullable<ReturnType<Topic['log']['stats']>['brokers']>['replicas'][number];

interface Parts {
  readonly topics: () => readonly Topic[];
  readonly consumers: () => readonly Consumer[];
  readonly hub: Hub;
  readonly http: Pick<HttpServer, 'cache'>;
}

/** Metrics of the platform: topics, consumer groups, streams, cached responses. Modules register their own. */
export function registerMetrics(metrics: Metrics, { topics, consumers, hub, http }: Parts): void {
  topicMetrics(metrics, topics);
  metrics.read('millrace_consumer_lag_events', 'Events that a consumer group has not read yet', () =>
    consumers().map((consumer): [Labels, number] => [{ group: consumer.group }, consumer.status().lag]),
  );
  const one = (name: string, help: string, value: () => number) => metrics.read(name, help, () => [[{}, value()]]);
  one('millrace_stream_readers', 'Open streams', () => hub.stats().readers);
  one('millrace_stream_history_events', 'Events stored for clients that resume', () => hub.stats().historyEvents);
  one('millrace_stream_events_published_total', 'Events published to channels', () => hub.stats().published);
  one('millrace_stream_events_delivered_total', 'Events delivered to clients', () => hub.stats().delivered);
  one('millrace_stream_events_conflated_total', 'Events replaced by newer ones for slow clients', () => hub.stats().conflated);
  one('millrace_stream_slow_readers_ended_total', 'Clients disconnected because they were too slow', () => hub.stats().slowReadersEnded);
  one('millrace_stream_gaps_total', 'Gaps reported to clients', () => hub.stats().gaps);
  one('millrace_cache_responses', 'Cached responses', () => http.cache.stats().responses);
  one('millrace_cache_bytes', 'Size of the cached responses', () => http.cache.stats().bytes);
  one('millrace_cache_hits_total', 'Responses from the cache', () => http.cache.stats().hits);
  one('millrace_cache_stale_total', 'Responses from the cache while the response was computed again', () => http.cache.stats().stale);
  one('millrace_cache_misses_total', 'Requests whose response was computed', () => http.cache.stats().misses);
  one('millrace_cache_invalidations_total', 'Events that invalidated cached responses', () => http.cache.stats().invalidated);
}

function topicMetrics(metrics: Metrics, topics: Parts['topics']): void {
  const ofHost = (name: string, help: string, value: (stats: HostStats) => number) =>
    metrics.read(name, help, () =>
      topics().flatMap(({ name: topic, host }): [Labels, number][] => (host ? [[{ topic }, value(host.stats())]] : [])),
    );
  ofHost('millrace_zones', 'Open zones', ({ zones }) => zones);
  ofHost('millrace_shards', 'Shards of the log that the host owns', ({ shards }) => shards);
  ofHost('millrace_shards_suspended', 'Shards whose log cannot be written now', ({ suspendedShards }) => suspendedShards);
  ofHost('millrace_mailbox_commands', 'Commands that wait in mailboxes', ({ waitingCommands }) => waitingCommands);
  ofHost('millrace_commands_decided_total', 'Decided commands', ({ decidedCommands }) => decidedCommands);
  ofHost('millrace_commands_refused_busy_total', 'Commands refused because a mailbox was full', ({ refusedBusy }) => refusedBusy);
  ofHost('millrace_zone_failures_total', 'Zones that failed and were rebuilt', ({ zoneFailures }) => zoneFailures);
  ofHost(
    'millrace_snapshots_skipped_total',
    'Snapshots skipped because the log lacked events of the zone',
    ({ snapshotsSkipped }) => snapshotsSkipped,
  );
  ofHost('millrace_outbox_events', 'Decided events that wait in memory for the log', ({ outbox }) => outbox.waitingEvents);
  ofHost('millrace_outbox_events_max', 'Limit of the outbox in memory', ({ outbox }) => outbox.waitingEventsMax);
  ofHost('millrace_spool_bytes', 'Decided events that wait on disk for the log', ({ outbox }) => outbox.spooledBytes);
  ofHost('millrace_spool_bytes_max', 'Limit of the spool', ({ outbox }) => outbox.spooledBytesMax);
  ofHost('millrace_events_lost_total', 'Events lost because the spool was full', ({ outbox }) => outbox.lostEvents);
  ofHost('millrace_events_appended_total', 'Events appended to the log', ({ outbox }) => outbox.appendedEvents);
  const ofTopic = (name: string, help: string, value: (topic: Topic) => number) =>
    metrics.read(name, help, () => topics().map((topic): [Labels, number] => [{ topic: topic.name }, value(topic)]));
  ofTopic('millrace_log_bytes', 'Size of the log', ({ log }) => log.stats().bytes);
  // A scrape does not wait for the database.
  const deadLetters = new Map<string, LastKnown<number>>();
  ofTopic('millrace_dead_letters', 'Dead letters', ({ name, log }) => {
    const count = deadLetters.get(name) ?? new LastKnown(() => log.deadLetters.count(), 0);
    deadLetters.set(name, count);
    return count.get();
  });
  const ofShards = (name: string, help: string, isCounted: (replicas: BrokerReplicas) => boolean) =>
    metrics.read(name, help, () =>
      topics().flatMap(({ name: topic, log }): [Labels, number][] => {
        const { brokers } = log.stats();
        return brokers ? [[{ topic }, brokers.replicas.filter(isCounted).length]] : [];
      }),
    );
  ofShards('millrace_log_shards_without_leader', 'Shards in Kafka without a leader', ({ isLed }) => !isLed);
  ofShards(
    'millrace_log_shards_under_replicated',
    'Shards in Kafka with fewer in-sync replicas than replicas',
    (one) => one.inSync < one.replicas,
  );
  metrics.read('millrace_log_end_offset', 'End offset of each partition of the log', () =>
    topics().flatMap(({ name: topic, log }) =>
      log.stats().partitions.map(({ end }, partition): [Labels, number] => [{ topic, partition: String(partition) }, end]),
    ),
  );
}

/** Metrics of a gateway: its servers, and the requests and streams to them. */
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
    'millrace_gateway_server_left_alone',
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
    'Requests without a response of the server',
    ofEach(({ failures }) => failures),
  );
  metrics.read(
    'millrace_gateway_open',
    'Open requests, streams and connections to a server',
    ofEach(({ open }) => open),
  );
  metrics.read('millrace_gateway_streams', 'Streams open at this gateway', () => [[{}, http.streams.size]]);
}
