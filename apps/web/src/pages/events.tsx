import type { Alert, Connections, ConsumerGroupStatus, EventStats, Server } from '@millrace/contracts';
import { useMutation, useQuery } from '@tanstack/react-query';
import { api } from '../api.ts';
import { useOperations } from '../live/world.ts';
import { useStateWords } from '../parts/badges.tsx';
import { confirmFirst } from '../parts/confirm.tsx';
import { Button, Outcome, Panel } from '../parts/controls.tsx';
import { Failure, Notice } from '../parts/notice.tsx';
import { showBytes, useFormats } from '../parts/numbers.ts';
import { type Column, Table } from '../parts/table.tsx';
import { filled, useText } from '../text/text.ts';
import { ALERT_TEXT, AlertStrip } from '../world/alerts.tsx';
import { DeadLetters, useDeadLetters } from './dead-letters.tsx';

const CONNECTIONS_MS = 5_000;

/** Event rates, consumer groups with their lag, and dead letters. */
export function EventsPage() {
  const text = useText();
  const { flow, consumers, alerts } = useOperations();
  return (
    <>
      <h1 className="py-4 font-semibold text-lg">{text.events}</h1>
      {!flow || !consumers || !alerts ? (
        <Notice title={text.loading} />
      ) : (
        <>
          <AlertStrip alerts={alerts} />
          <div className="grid grid-cols-1 items-start gap-3 min-[1400px]:grid-cols-2">
            <Types flow={flow} />
            <div className="grid min-w-0 grid-cols-1 content-start gap-3">
              <Topics flow={flow} />
              <Consumers consumers={consumers} />
              <DeadLetters />
              <Servers />
              <Watching />
              <PastAlerts alerts={alerts} />
            </div>
          </div>
        </>
      )}
    </>
  );
}

const SERVER_TEXT = {
  closed: 'serverHealthy',
  open: 'serverCircuitOpen',
  'half-open': 'serverRetrying',
  unavailable: 'serverOffline',
} as const;

/** The servers behind this gateway; renders nothing on a server. */
function Servers() {
  const text = useText();
  const stateWords = useStateWords();
  const { whole } = useFormats();
  const { data } = useQuery({ queryKey: ['servers'], queryFn: api.servers, refetchInterval: CONNECTIONS_MS });
  if (!data || data.length < 2) return null;
  const columns: Column<Server>[] = [
    {
      name: text.node,
      isText: true,
      by: ({ address }) => address ?? '',
      cell: ({ address, role, node }) => <span title={node ?? undefined}>{address ?? role}</span>,
    },
    {
      name: text.state,
      isText: true,
      by: ({ state }) => state,
      cell: ({ state, circuit, failure }) => (
        <span className={state === 'available' && circuit === 'closed' ? undefined : 'text-alarm'} title={failure ?? undefined}>
          {stateWords(text[SERVER_TEXT[state === 'unavailable' ? state : circuit]])}
        </span>
      ),
    },
    { name: text.openNow, by: ({ open }) => open, cell: ({ open }) => whole(open) },
    { name: text.requests, by: ({ requests }) => requests, cell: ({ requests }) => whole(requests) },
    { name: text.unanswered, by: ({ failures }) => failures, cell: ({ failures }) => whole(failures) },
  ];
  return (
    <Panel title={text.servers}>
      <Table rows={data} columns={columns} keyOf={({ address, node }) => address ?? node ?? ''} empty={text.nothing} />
    </Panel>
  );
}

/** Open streams by user and transport. */
function Watching() {
  const text = useText();
  const { whole, moment } = useFormats();
  const { data, error, refetch } = useQuery({ queryKey: ['connections'], queryFn: api.connections, refetchInterval: CONNECTIONS_MS });
  const total = data?.nodes.reduce((sum, { streams }) => sum + streams, 0);
  const columns: Column<Connections['users'][number]>[] = [
    { name: text.name, isText: true, cell: ({ name }) => name, by: ({ name }) => name },
    { name: text.tenant, isText: true, cell: ({ tenant }) => tenant, by: ({ tenant }) => tenant },
    { name: text.transport, isText: true, cell: ({ transport }) => transport, by: ({ transport }) => transport },
    { name: text.node, isText: true, cell: ({ node }) => node, by: ({ node }) => node },
    { name: text.openStreams, cell: ({ streams }) => whole(streams), by: ({ streams }) => streams },
    { name: text.sinceWhen, cell: ({ openedAt }) => moment(openedAt), by: ({ openedAt }) => openedAt },
  ];
  return (
    <Panel
      title={text.watching}
      aside={
        data && (
          <>
            <Outcome error={error} />
            <span className="text-muted text-sm">{whole(total ?? 0)}</span>
          </>
        )
      }
    >
      {error && !data ? (
        <Failure error={error} onRetry={() => void refetch()} />
      ) : (
        <Table
          rows={data?.users ?? []}
          columns={columns}
          keyOf={({ user, node, transport }) => `${user} ${node} ${transport}`}
          empty={data ? text.nothing : text.loading}
        />
      )}
    </Panel>
  );
}

function Types({ flow }: { flow: EventStats }) {
  const text = useText();
  const { whole } = useFormats();
  const most = Math.max(1, ...flow.types.map(({ perSecond }) => perSecond));
  const total = flow.types.reduce((sum, { perSecond }) => sum + perSecond, 0);
  return (
    <Panel
      title={text.flow}
      aside={
        <span className="text-muted text-sm">
          {whole(Math.round(total))} {text.perSecond}
        </span>
      }
    >
      <Table
        rows={flow.types}
        keyOf={({ kind, type }) => `${kind}/${type}`}
        empty={text.noEvents}
        columns={[
          { name: text.eventType, isText: true, by: ({ type }) => type, cell: ({ type }) => <span className="font-medium">{type}</span> },
          { name: text.zoneKind, isText: true, by: ({ kind }) => kind, cell: ({ kind }) => <span className="text-muted">{kind}</span> },
          {
            name: text.eventRate,
            by: ({ perSecond }) => perSecond,
            cell: ({ perSecond }) => (
              <span className="flex items-center justify-end gap-2">
                <span className="hidden h-1.5 w-24 overflow-hidden rounded bg-raised sm:block">
                  <span className="block h-full bg-accent" style={{ width: `${(perSecond / most) * 100}%` }} />
                </span>
                <span className="w-20">
                  {perSecond.toFixed(1)} {text.perSecond}
                </span>
              </span>
            ),
          },
          { name: text.total, by: ({ total: all }) => all, cell: ({ total: all }) => whole(all) },
        ]}
      />
    </Panel>
  );
}

type TopicStats = EventStats['topics'][number];

function Topics({ flow }: { flow: EventStats }) {
  const text = useText();
  const { whole } = useFormats();
  /** Offsets count events in an embedded log, and records in Kafka. */
  const counted = ({ partitions, brokers }: TopicStats, of: (partition: TopicStats['partitions'][number]) => number) => {
    const sum = whole(partitions.reduce((total, partition) => total + of(partition), 0));
    return brokers ? filled(text.recordCount, { count: sum }) : sum;
  };
  return (
    <Panel title={text.topics}>
      <Table
        rows={flow.topics}
        keyOf={({ topic }) => topic}
        empty={text.none}
        columns={[
          { name: text.topic, isText: true, cell: ({ topic }) => <span className="font-medium">{topic}</span> },
          { name: text.partitions, cell: ({ partitions }) => partitions.length },
          {
            name: text.keptEvents,
            cell: (topic) => counted(topic, ({ start, end }) => end - start),
          },
          { name: text.total, cell: (topic) => counted(topic, ({ end }) => end) },
          { name: text.size, cell: ({ bytes }) => showBytes(bytes) },
          ...(flow.topics.some(({ brokers }) => brokers)
            ? [{ name: text.brokers, isText: true, cell: ({ brokers }: TopicStats) => brokers && <Brokers brokers={brokers} /> }]
            : []),
        ]}
      />
    </Panel>
  );
}

/** State of the Kafka brokers of a topic. */
function Brokers({ brokers }: { brokers: NonNullable<TopicStats['brokers']> }) {
  const text = useText();
  const { failure, withoutLeader, underReplicated } = brokers;
  const trouble =
    failure !== null
      ? text.brokersSilent
      : withoutLeader > 0
        ? filled(text.shardsWithoutLeader, { count: String(withoutLeader) })
        : underReplicated > 0
          ? filled(text.shardsUnderReplicated, { count: String(underReplicated) })
          : null;
  return (
    <span className={trouble ? 'text-alarm' : undefined} title={failure ?? undefined}>
      {trouble ?? text.replicasInSync}
    </span>
  );
}

function Consumers({ consumers }: { consumers: readonly ConsumerGroupStatus[] }) {
  const text = useText();
  const stateWords = useStateWords();
  const { whole } = useFormats();
  const deadLetters = useDeadLetters();
  const order = useMutation({
    mutationFn: ({ group, what }: { group: string; what: 'pause' | 'resume' | 'skip' }) => api.consumer(group, what),
  });
  const give = (group: string, what: 'pause' | 'resume' | 'skip') => {
    const act = () => order.mutate({ group, what });
    if (what === 'resume') return act();
    const action = text[ORDER_TEXT[what]];
    const message = what === 'skip' ? text.askSkipDropped : text.askPauseGroup;
    confirmFirst({ title: `${action}: ${group}`, message: filled(message, { name: group }), action, act });
  };
  return (
    <Panel title={text.consumerGroups} aside={<Outcome error={order.error} />}>
      <Table
        rows={consumers}
        keyOf={({ group }) => group}
        empty={text.none}
        columns={[
          {
            name: text.group,
            isText: true,
            cell: ({ group, failure }) => (
              <>
                <span className="font-medium">{group}</span>
                {failure && <p className="max-w-72 whitespace-normal text-warn text-xs">{failure}</p>}
              </>
            ),
          },
          {
            name: text.state,
            isText: true,
            cell: ({ state }) => <span className={state === 'running' ? '' : 'text-warn'}>{stateWords(text[STATE_TEXT[state]])}</span>,
          },
          { name: text.lag, hint: text.lagHint, cell: ({ lag }) => <span data-lag={lag}>{whole(lag)}</span> },
          { name: text.applied, cell: ({ applied }) => whole(applied) },
          {
            name: text.deadLetters,
            // Those that wait. The group itself counts those since its start, replayed ones too.
            cell: ({ group }) => {
              if (!deadLetters.data || deadLetters.isError) return '–';
              const waiting = deadLetters.data.filter((one) => one.group === group).length;
              return <span className={waiting > 0 ? 'text-warn' : ''}>{whole(waiting)}</span>;
            },
          },
          {
            name: ' ',
            cell: ({ group, state }) => (
              <Button disabled={order.isPending} onClick={() => give(group, ORDERS[state])}>
                {text[ORDER_TEXT[ORDERS[state]]]}
              </Button>
            ),
          },
        ]}
      />
    </Panel>
  );
}

const STATE_TEXT = { running: 'running', paused: 'paused', unavailable: 'offline', overtaken: 'overtaken' } as const;
const ORDER_TEXT = { pause: 'pause', resume: 'resume', skip: 'skipDropped' } as const;
const ORDERS = { running: 'pause', paused: 'resume', unavailable: 'pause', overtaken: 'skip' } as const;

function PastAlerts({ alerts }: { alerts: readonly Alert[] }) {
  const text = useText();
  const { when } = useFormats();
  const past = alerts.filter(({ endedAt }) => endedAt !== null);
  return (
    <Panel title={text.pastAlerts}>
      <ul className="grid max-h-48 gap-1 overflow-y-auto px-4 pb-3 text-sm">
        {past.map(({ id, rule, subject, startedAt, endedAt }) => (
          <li key={`${id} ${startedAt}`} className="flex flex-wrap gap-x-3">
            <span className="text-muted">
              {when(startedAt)} – {endedAt !== null && when(endedAt)}
            </span>
            <span>
              {text[ALERT_TEXT[rule]]}: {subject}
            </span>
          </li>
        ))}
        {past.length === 0 && <li className="text-muted">{text.none}</li>}
      </ul>
    </Panel>
  );
}
