import type { WorldHostStatus, WorldZoneStatus } from '@millrace/contracts';
import { useMutation } from '@tanstack/react-query';
import { useMemo } from 'react';
import { Link } from 'wouter';
import { api } from '../api.ts';
import { serverNow } from '../live/server-clock.ts';
import { useOperations, useWorld } from '../live/world.ts';
import { useStateWords } from '../parts/badges.tsx';
import { confirmFirst } from '../parts/confirm.tsx';
import { Button, Outcome, Panel } from '../parts/controls.tsx';
import { Notice } from '../parts/notice.tsx';
import { showBytes, useFormats } from '../parts/numbers.ts';
import { StatTile } from '../parts/stat-tile.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { filled, useText } from '../text/text.ts';
import { AlertStrip } from '../world/alerts.tsx';
import { Announce } from '../world/announce.tsx';
import { healthOf } from '../world/health.ts';
import { HeatGrid } from '../world/heat-grid.tsx';
import { WorldTabs } from '../world/world-tabs.tsx';

/** World overview: zones coloured by the duration of their ticks, statistics, and zone hosts. */
const OUTBOX_TEXT = { waiting: 'logUnavailable', spooling: 'spooling' } as const;

export function ZonesPage() {
  const text = useText();
  const { whole } = useFormats();
  const { world, zones, hosts } = useWorld();
  const { alerts } = useOperations();
  if (!world || !zones || !hosts)
    return (
      <>
        <WorldTabs />
        <Notice title={text.loading} hint={text.worldLoadingHint} />
      </>
    );
  const { plan, playing, connections, zonesOpen, decisionMs, updatesPerSecond, refusals } = world;
  const all = plan.columns * plan.rows;
  const refused = Object.values(refusals).reduce((sum, count) => sum + count, 0);
  return (
    <>
      <WorldTabs />
      <AlertStrip alerts={alerts} />
      <dl className="mb-3 grid grid-cols-3 gap-x-6 gap-y-3 rounded-lg border border-line bg-surface px-4 py-3 sm:grid-cols-6">
        <StatTile name={text.playing} value={whole(playing)} />
        <StatTile name={text.connectionsNow} value={whole(connections)} />
        <StatTile name={text.zonesOpen} value={`${zonesOpen} / ${all}`} alarming={zonesOpen < all} />
        <StatTile name={text.decisionP99} value={decisionMs.p99 === null ? '–' : decisionMs.p99.toFixed(1)} unit="ms" />
        <StatTile name={text.updates} value={updatesPerSecond.toFixed(1)} unit={text.perSecond} />
        <StatTile name={text.refused} value={whole(refused)} />
      </dl>
      <div className="grid grid-cols-1 items-start gap-3 lg:grid-cols-[minmax(280px,38%)_minmax(0,1fr)]">
        <Panel title={text.zones}>
          <div className="px-4 pb-4">
            <HeatGrid plan={plan} zones={zones} />
          </div>
        </Panel>
        <div className="grid min-w-0 grid-cols-1 content-start gap-3">
          <Hosts hosts={hosts} />
          <Announce
            title={text.announceToAll}
            say={async (words, operator) => `${text.notifiedZones}: ${(await api.createAnnouncement(words, operator)).zones}`}
          />
        </div>
      </div>
      <ZoneTable zones={zones} />
    </>
  );
}

function ZoneTable({ zones }: { zones: readonly WorldZoneStatus[] }) {
  const text = useText();
  const { duration, whole } = useFormats();
  const columns = useMemo((): Column<WorldZoneStatus>[] => {
    const number = (name: string, of: (zone: WorldZoneStatus) => number, show = whole): Column<WorldZoneStatus> => ({
      name,
      by: of,
      cell: (zone) => show(of(zone)),
    });
    const ms = (value: number) => value.toFixed(1);
    const age = (at: number | null) => (at === null ? '–' : duration(serverNow() - at));
    return [
      {
        name: text.zone,
        isText: true,
        by: ({ zone }) => zone,
        cell: ({ zone }) => (
          <Link href={`/worlds/zones/${zone}`} className="font-medium hover:text-accent">
            {zone}
          </Link>
        ),
      },
      { name: text.host, isText: true, by: ({ host }) => host ?? '', cell: ({ host }) => host ?? text.offline },
      number(text.ccu, ({ sessions }) => sessions),
      number(text.asleep, ({ asleep }) => asleep),
      number(text.tickMean, ({ tickMsMean }) => tickMsMean, ms),
      number(text.tickMax, ({ tickMsMax }) => tickMsMax, ms),
      number(text.lateBy, ({ lateMsMax }) => lateMsMax, ms),
      number(text.queue, ({ waiting }) => waiting),
      number(text.packetsIn, ({ packetsIn }) => packetsIn),
      number(text.packetsOut, ({ packetsOut }) => packetsOut),
      { name: text.rtt, by: ({ rttMs }) => rttMs ?? -1, cell: ({ rttMs }) => (rttMs === null ? '–' : ms(rttMs)) },
      number(text.eventsPerSecond, ({ events }) => events),
      number(text.refused, ({ refused }) => refused),
      number(text.flagged, ({ flagged }) => flagged),
      { name: text.hotAge, by: ({ hotAt }) => -(hotAt ?? 0), cell: ({ hotAt }) => age(hotAt) },
      { name: text.coldAge, by: ({ coldAt }) => -(coldAt ?? 0), cell: ({ coldAt }) => age(coldAt) },
      number(text.epoch, ({ epoch }) => epoch),
    ];
  }, [text, duration, whole]);
  return (
    <Panel title={text.zoneStats} className="mt-3">
      <Table
        rows={zones}
        columns={columns}
        scrolls
        keyOf={({ zone }) => zone}
        isMarked={(zone) => ['slow', 'critical', 'offline'].includes(healthOf(zone))}
        empty={text.none}
      />
    </Panel>
  );
}

function Hosts({ hosts }: { hosts: readonly WorldHostStatus[] }) {
  const text = useText();
  const stateWords = useStateWords();
  const { seconds, whole } = useFormats();
  const order = useMutation({
    mutationFn: ({ host, what }: { host: string; what: 'drain' | 'undrain' | 'replace' }) => api.host(host, what),
  });
  const ask = (host: string, what: 'drain' | 'replace', message: string) =>
    confirmFirst({
      title: `${text[what]}: ${host}`,
      message: filled(message, { name: host }),
      action: text[what],
      act: () => order.mutate({ host, what }),
    });
  return (
    <Panel title={text.hosts} aside={<Outcome error={order.error} />}>
      <Table
        rows={hosts}
        keyOf={({ id, pid }) => `${id} ${pid}`}
        empty={text.none}
        columns={[
          { name: text.host, isText: true, cell: ({ id }) => <span className="font-medium">{id}</span> },
          { name: text.state, isText: true, cell: ({ state }) => stateWords(text[HOST_STATE[state]]) },
          { name: text.zones, cell: ({ open, zones }) => (open === zones ? open : `${open} / ${zones}`) },
          { name: 'CPU', cell: ({ cpuPercent }) => `${cpuPercent} %` },
          { name: text.memory, cell: ({ memoryBytes }) => showBytes(memoryBytes) },
          {
            name: text.outbox,
            hint: text.outboxHint,
            cell: ({ outbox, outboxEvents }) => (
              <span className={outbox === 'flowing' ? '' : 'text-warn'}>
                {outbox !== 'flowing' && `${text[OUTBOX_TEXT[outbox]]} `}
                {whole(outboxEvents)}
              </span>
            ),
          },
          { name: text.spool, cell: ({ spoolBytes }) => showBytes(spoolBytes) },
          {
            name: text.lost,
            hint: text.lostHint,
            cell: ({ lostEvents }) => <span className={lostEvents > 0 ? 'text-warn' : ''}>{whole(lostEvents)}</span>,
          },
          { name: text.lease, cell: ({ leaseLeftMs }) => seconds(leaseLeftMs, 1) },
          { name: 'pid', cell: ({ pid }) => pid },
          {
            name: ' ',
            cell: ({ id, state }) => (
              <span className="flex justify-end gap-2">
                <Button
                  disabled={order.isPending}
                  onClick={() => (state === 'draining' ? order.mutate({ host: id, what: 'undrain' }) : ask(id, 'drain', text.askDrain))}
                >
                  {state === 'draining' ? text.undrain : text.drain}
                </Button>
                <Button disabled={order.isPending} title={text.replaceHint} onClick={() => ask(id, 'replace', text.askReplace)}>
                  {text.replace}
                </Button>
              </span>
            ),
          },
        ]}
      />
    </Panel>
  );
}

const HOST_STATE = { starting: 'starting', up: 'up', draining: 'draining' } as const;
