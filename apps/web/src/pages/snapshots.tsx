import type { DrillReport, SnapshotStatus, SnapshotStoreName } from '@millrace/contracts';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchParams } from 'wouter';
import { api, type SnapshotLabel } from '../api.ts';
import { serverNow } from '../live/server-clock.ts';
import { useWorld } from '../live/world.ts';
import { Button, Outcome, Panel } from '../parts/controls.tsx';
import { Failure, Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { Table } from '../parts/table.tsx';
import { useText } from '../text/text.ts';
import { Restore } from '../world/restore.tsx';
import { WorldTabs } from '../world/world-tabs.tsx';

const AGAIN_MS = 5_000;

/** Snapshots of zones, and results of recovery drills. */
export function SnapshotsPage() {
  const text = useText();
  const [search, setSearch] = useSearchParams();
  const { zones } = useWorld();
  const zone = search.get('zone') ?? '0-0';
  return (
    <>
      <WorldTabs
        aside={
          <label className="flex items-center gap-2 text-sm">
            {text.zone}
            <select
              value={zone}
              onChange={(event) => setSearch({ zone: event.target.value })}
              className="rounded-md border border-edge bg-surface px-2 py-1"
            >
              {(zones ?? [{ zone }]).map((each) => (
                <option key={each.zone}>{each.zone}</option>
              ))}
            </select>
          </label>
        }
      />
      <div className="grid grid-cols-1 gap-3">
        <Snapshots key={zone} zone={zone} />
        <Drills />
      </div>
    </>
  );
}

const labelOf = ({ store, epoch, seq }: SnapshotLabel) => `${store} ${epoch} ${seq}`;

function Snapshots({ zone }: { zone: string }) {
  const text = useText();
  const { when, duration, whole } = useFormats();
  const queries = useQueryClient();
  const snapshots = useQuery({ queryKey: ['snapshots', zone], queryFn: () => api.snapshots(zone), refetchInterval: AGAIN_MS });
  const take = useMutation({
    mutationFn: (store: SnapshotStoreName) => api.createSnapshot(zone, store),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['snapshots', zone] }),
  });
  const [chosen, setChosen] = useState<SnapshotStatus | null>(null);
  if (snapshots.isLoadingError) return <Failure error={snapshots.error} onRetry={() => void snapshots.refetch()} />;
  if (!snapshots.data) return <Notice title={text.loading} />;
  return (
    <div className="grid grid-cols-1 items-start gap-3 lg:grid-cols-[minmax(0,1fr)_minmax(320px,40%)]">
      <Panel
        title={`${text.snapshotsOf} ${zone}`}
        aside={
          <>
            <Outcome error={take.error ?? snapshots.error} />
            <Button disabled={take.isPending} onClick={() => take.mutate('hot')}>
              {text.takeHot}
            </Button>
            <Button disabled={take.isPending} onClick={() => take.mutate('cold')}>
              {text.takeCold}
            </Button>
          </>
        }
      >
        <div className="max-h-[60dvh] overflow-y-auto">
          <Table
            rows={snapshots.data}
            keyOf={(snapshot) => `${labelOf(snapshot)} ${snapshot.takenAt}`}
            empty={text.noSnapshots}
            columns={[
              { name: text.store, isText: true, by: ({ store }) => store, cell: ({ store }) => <StoreName store={store} /> },
              { name: text.time, by: ({ takenAt }) => takenAt, cell: ({ takenAt }) => when(takenAt) },
              { name: text.age, by: ({ takenAt }) => -takenAt, cell: ({ takenAt }) => duration(serverNow() - takenAt) },
              { name: text.epoch, cell: ({ epoch }) => epoch },
              { name: text.afterEvent, by: ({ seq }) => seq, cell: ({ seq }) => whole(seq) },
              {
                name: ' ',
                cell: (snapshot) => (
                  <Button tone={chosen && labelOf(chosen) === labelOf(snapshot) ? 'main' : 'plain'} onClick={() => setChosen(snapshot)}>
                    {text.inspect}
                  </Button>
                ),
              },
            ]}
          />
        </div>
      </Panel>
      {chosen ? (
        <Chosen key={labelOf(chosen)} zone={zone} snapshot={chosen} />
      ) : (
        <Panel title={text.inspect}>
          <p className="px-4 pb-4 text-muted text-sm">{text.chooseSnapshot}</p>
        </Panel>
      )}
    </div>
  );
}

function StoreName({ store }: { store: SnapshotStoreName }) {
  const text = useText();
  return <span className={store === 'hot' ? 'text-warn' : 'text-accent'}>{store === 'hot' ? text.hot : text.cold}</span>;
}

/** One snapshot: read check, comparison with the log, and restore. */
function Chosen({ zone, snapshot }: { zone: string; snapshot: SnapshotStatus }) {
  const text = useText();
  const { when, whole } = useFormats();
  const verdict = useQuery({
    queryKey: ['verdict', zone, labelOf(snapshot)],
    queryFn: () => api.verifySnapshot(zone, snapshot, false),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const record = useMutation({ mutationFn: () => api.verifySnapshot(zone, snapshot, true) });
  const isSame = record.data?.valid && record.data.hash === record.data.replayedHash;
  return (
    <Panel title={`${snapshot.store === 'hot' ? text.hot : text.cold} · ${when(snapshot.takenAt)}`}>
      <div className="grid gap-3 px-4 pb-4 text-sm">
        {verdict.isError ? (
          <Outcome error={verdict.error} />
        ) : !verdict.data ? (
          <p className="text-muted">{text.verifying}</p>
        ) : (
          <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1">
            <dt className="text-muted">{text.verificationResult}</dt>
            <dd className={verdict.data.valid ? 'text-accent' : 'text-warn'}>
              {verdict.data.valid ? text.integrityOk : verdict.data.detail}
            </dd>
            <dt className="text-muted">{text.afterEvent}</dt>
            <dd>{whole(snapshot.seq)}</dd>
            <dt className="text-muted">{text.players}</dt>
            <dd>{verdict.data.players ?? '–'}</dd>
            <dt className="text-muted">{text.stateHash}</dt>
            <dd className="break-all font-mono text-xs">{verdict.data.hash ?? '–'}</dd>
          </dl>
        )}
        <div className="flex flex-wrap items-center gap-3">
          <Button disabled={record.isPending || !verdict.data?.valid} onClick={() => record.mutate()}>
            {text.verifyAgainstLog}
          </Button>
          <Outcome error={record.error} />
          {record.data && (
            <span className={isSame ? 'text-accent' : 'text-warn'}>
              {isSame ? text.matchesLog : record.data.valid ? text.differsFromLog : record.data.detail}
            </span>
          )}
        </div>
        <div className="border-line border-t pt-3">
          <Restore zone={zone} seq={snapshot.seq} />
        </div>
      </div>
    </Panel>
  );
}

function Drills() {
  const text = useText();
  const drills = useQuery({ queryKey: ['drills'], queryFn: api.drills, refetchInterval: 30_000 });
  return (
    <Panel title={text.drills} aside={!drills.isLoadingError && <Outcome error={drills.error} />}>
      {drills.isLoadingError ? (
        <Failure error={drills.error} onRetry={() => void drills.refetch()} />
      ) : drills.data?.length === 0 ? (
        <p className="px-4 pb-4 text-muted text-sm">
          {text.noDrills} <code className="text-ink">npm run millrace -- drill</code>
        </p>
      ) : (
        <div className="grid grid-cols-1 gap-4 pb-2">
          {drills.data?.map((report) => (
            <Drill key={report.startedAt} report={report} />
          ))}
        </div>
      )}
    </Panel>
  );
}

function Drill({ report }: { report: DrillReport }) {
  const text = useText();
  const { clock, day, seconds } = useFormats();
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return (
    <div>
      <p className="px-4 text-muted text-sm">
        {day(report.startedAt)} {clock(report.startedAt)} · {report.players} {text.playersCount} · {report.zones} {text.zones} ·{' '}
        {report.hosts} {text.hosts}
      </p>
      <Table
        rows={report.results}
        keyOf={({ recoverySource }) => recoverySource}
        empty={text.none}
        columns={[
          {
            name: text.recoverySource,
            isText: true,
            cell: ({ recoverySource }) => ({ hot: text.hot, cold: text.cold, replay: text.onlyReplay })[recoverySource],
          },
          { name: text.kills, cell: ({ kills }) => kills.length },
          { name: text.rto, hint: text.rtoHint, cell: ({ rtoMsMax }) => seconds(rtoMsMax, 2) },
          { name: text.drillTarget, cell: ({ targetMs }) => seconds(targetMs, 1) },
          { name: text.rpo, hint: text.rpoHint, cell: ({ rpoMsMax }) => `${Math.round(rpoMsMax)} ms` },
          { name: text.lost, cell: ({ kills }) => sum(kills.map(({ lost }) => lost)) },
          { name: text.duplicated, cell: ({ kills }) => sum(kills.map(({ duplicated }) => duplicated)) },
          {
            name: text.verificationResult,
            cell: ({ met }) => <span className={met ? 'text-accent' : 'text-warn'}>{met ? text.targetMet : text.targetMissed}</span>,
          },
        ]}
      />
    </div>
  );
}
