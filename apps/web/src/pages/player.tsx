import { EDITABLE, type EditableComponent, type Player, type PlayerStatus, type PlayerStep } from '@millrace/contracts';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Link } from 'wouter';
import { api } from '../api.ts';
import { useIsLost } from '../live/connection.ts';
import { serverNow } from '../live/server-clock.ts';
import { usePlayerStatus, useZoneView } from '../live/world.ts';
import { Audited } from '../parts/audited.tsx';
import { Button, Panel } from '../parts/controls.tsx';
import { Failure, Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { StatTile } from '../parts/stat-tile.tsx';
import { useText } from '../text/text.ts';
import { changesOf, type Draft, draftOf } from '../world/draft.ts';
import { WorldTabs } from '../world/world-tabs.tsx';
import { ZoneMap } from '../world/zone-map.tsx';

const HISTORY_MS = 3_000;
/** Length of the path on the map. */
const PATH_MS = 10 * 60_000;

/** One player: live components with editable fields, position and history. */
export function PlayerPage({ id }: { id: string }) {
  const text = useText();
  const first = useQuery({ queryKey: ['player', id], queryFn: () => api.player(id) });
  const status = usePlayerStatus(id) ?? first.data;
  return (
    <>
      <WorldTabs
        aside={
          status?.player && (
            <h1 className="text-sm">
              <span className="font-semibold">{status.player.name}</span> <code className="text-muted text-xs">{id}</code>
            </h1>
          )
        }
      />
      {status ? (
        <Inspector status={status} />
      ) : first.isError ? (
        <Failure error={first.error} onRetry={() => void first.refetch()} />
      ) : (
        <Notice title={text.loading} />
      )}
    </>
  );
}

function Inspector({ status }: { status: PlayerStatus }) {
  const text = useText();
  const isLost = useIsLost();
  const { whole } = useFormats();
  const { id, zone, host, connected, remote, rttMs, framesIn, framesOut, droppedUpdates, player } = status;
  return (
    <div className="grid grid-cols-1 items-start gap-3 lg:grid-cols-[minmax(0,1fr)_minmax(320px,40%)]">
      <div className="grid min-w-0 grid-cols-1 content-start gap-3">
        <dl className="grid grid-cols-3 gap-x-6 gap-y-3 rounded-lg border border-line bg-surface px-4 py-3 sm:grid-cols-6">
          <div>
            <dt className="text-muted text-xs">{text.zone}</dt>
            <dd>{zone === null ? '–' : <Link href={`/worlds/zones/${zone}`}>{zone}</Link>}</dd>
          </div>
          <StatTile name={text.host} value={host ?? '–'} />
          <StatTile name={text.connection} value={isLost ? text.unknown : connected ? (remote ?? text.live) : text.noConnection} />
          <StatTile name={text.rtt} value={rttMs === null ? '–' : rttMs.toFixed(1)} unit="ms" />
          <StatTile name={text.packetsInOut} value={`${whole(framesIn)} / ${whole(framesOut)}`} />
          <StatTile name={text.droppedUpdates} value={whole(droppedUpdates)} alarming={droppedUpdates > 0} />
        </dl>
        {player ? <Components player={player} /> : <Notice title={zone === null ? text.playerInNoZone : text.playerOnTheWay} />}
        <History id={id} />
      </div>
      <div className="grid min-w-0 grid-cols-1 content-start gap-3">
        {zone !== null && <Whereabouts zone={zone} id={id} />}
        <Panel title={text.kick}>
          <div className="px-4 pb-3">
            <Audited label={text.kick} grave act={(audit) => api.kick(id, audit)} />
          </div>
        </Panel>
        <Sessions id={id} />
      </div>
    </div>
  );
}

function Components({ player }: { player: Player }) {
  const { id, name, ...components } = player;
  return (
    <div className="grid grid-cols-1 gap-3 sm:grid-cols-2">
      {Object.entries(components).map(([component, fields]) => (
        <Component key={component} id={id} component={component} fields={fields} />
      ))}
    </div>
  );
}

/** A component with its current fields; those that an operator may change are editable. */
function Component({ id, component, fields }: { id: string; component: string; fields: object }) {
  const text = useText();
  const [draft, setDraft] = useState<Draft | null>(null);
  const isEditable = component in EDITABLE;
  return (
    <Panel
      title={component}
      aside={
        isEditable && (
          <Button aria-label={`${text.edit} ${component}`} onClick={() => setDraft(draft ? null : draftOf(fields))}>
            {draft ? text.cancel : text.edit}
          </Button>
        )
      }
    >
      <dl className="grid grid-cols-[auto_minmax(0,1fr)] items-baseline gap-x-4 gap-y-1 px-4 pb-3 text-sm">
        {Object.entries(fields).map(([field, value]) => (
          <div key={field} className="contents">
            <dt className="text-muted">{field}</dt>
            <dd className="text-right">
              {draft ? (
                <input
                  aria-label={`${component}.${field}`}
                  value={draft.edited[field] ?? ''}
                  onChange={(event) => setDraft({ ...draft, edited: { ...draft.edited, [field]: event.target.value } })}
                  className="w-full rounded border border-edge bg-ground px-2 py-0.5 text-right font-mono text-xs"
                />
              ) : (
                <Value field={field} value={value} />
              )}
            </dd>
          </div>
        ))}
      </dl>
      {draft && (
        <div className="border-line border-t px-4 py-3">
          <Audited
            label={text.save}
            act={(audit) => api.editPlayer(id, component as EditableComponent, changesOf(draft), audit)}
            onDone={() => setDraft(null)}
          />
        </div>
      )}
    </Panel>
  );
}

/** Fields with a time, epoch ms. */
const MOMENT = /(^at|At|Until|^since)$/;

function Value({ field, value }: { field: string; value: unknown }) {
  const text = useText();
  const { when, whole } = useFormats();
  if (typeof value === 'number')
    return MOMENT.test(field) ? <span title={String(value)}>{value === 0 ? '–' : when(value)}</span> : <span>{whole(value)}</span>;
  if (value === '') return <span className="text-muted">{text.none}</span>;
  if (typeof value === 'string') return <span className="break-all">{value}</span>;
  const entries = Array.isArray(value) ? value.map((entry) => JSON.stringify(entry)) : Object.entries(value as object).map(String);
  if (entries.length === 0) return <span className="text-muted">{text.none}</span>;
  return (
    <ul className="text-xs">
      {entries.map((entry) => (
        <li key={entry} className="break-all">
          {entry}
        </li>
      ))}
    </ul>
  );
}

/** The zone of the player, with its path. */
function Whereabouts({ zone, id }: { zone: string; id: string }) {
  const text = useText();
  const view = useZoneView(zone);
  const steps = useQuery({
    queryKey: ['steps', id],
    queryFn: () => api.playerSteps(id, serverNow() - PATH_MS, serverNow()),
    refetchInterval: HISTORY_MS,
  });
  const path = useMemo(() => stretchesIn(zone, steps.data ?? []), [steps.data, zone]);
  return (
    <Panel title={text.location} aside={<span className="text-muted text-xs">{text.pathHint}</span>}>
      <div className="px-4 pb-4">
        <ZoneMap zone={zone} objects={view?.objects} marked={id} path={path} gliding label={`${text.mapOf} ${zone}`} />
      </div>
    </Panel>
  );
}

/** The segments of a path in one zone. */
function stretchesIn(zone: string, steps: readonly PlayerStep[]): PlayerStep[][] {
  const stretches: PlayerStep[][] = [];
  let before: PlayerStep | undefined;
  for (const step of steps) {
    if (step.zone === zone) {
      if (before?.zone === zone) stretches.at(-1)?.push(step);
      else stretches.push([step]);
    }
    before = step;
  }
  return stretches;
}

function History({ id }: { id: string }) {
  const text = useText();
  const { when } = useFormats();
  const history = useQuery({ queryKey: ['history', id], queryFn: () => api.playerHistory(id), refetchInterval: HISTORY_MS });
  const queries = useQueryClient();
  if (history.isLoadingError)
    return (
      <Panel title={text.history}>
        <Failure error={history.error} onRetry={() => void queries.invalidateQueries({ queryKey: ['history', id] })} />
      </Panel>
    );
  return (
    <Panel title={text.history}>
      <ol className="grid max-h-96 gap-1 overflow-y-auto px-4 pb-3 text-sm">
        {history.data?.map((line) => (
          <li
            key={`${line.occurredAt} ${line.type} ${JSON.stringify(line.detail)}`}
            className="grid grid-cols-[auto_auto_minmax(0,1fr)] gap-x-3"
          >
            <span className="text-muted">{when(line.occurredAt)}</span>
            <span className="font-medium">{line.type}</span>
            <code className="truncate text-muted text-xs leading-5" title={JSON.stringify(line.detail)}>
              {line.zone} {JSON.stringify(line.detail)}
            </code>
          </li>
        ))}
      </ol>
      {history.data?.length === 0 && <p className="px-4 pb-3 text-muted text-sm">{text.none}</p>}
    </Panel>
  );
}

function Sessions({ id }: { id: string }) {
  const text = useText();
  const { when } = useFormats();
  const sessions = useQuery({ queryKey: ['sessions', id], queryFn: () => api.playerSessions(id), refetchInterval: HISTORY_MS });
  return (
    <Panel title={text.sessions}>
      <ol className="grid gap-1 px-4 pb-3 text-sm">
        {sessions.data?.map(({ id: session, startedAt, startedIn, endedAt, endedIn, reason }) => (
          <li key={session} className="flex flex-wrap gap-x-2">
            <span>
              {when(startedAt)} – {endedAt === null ? text.stillThere : when(endedAt)}
            </span>
            <span className="ml-auto text-muted">
              {startedIn}
              {endedIn !== null && endedIn !== startedIn && ` → ${endedIn}`} {reason}
            </span>
          </li>
        ))}
      </ol>
      {sessions.data?.length === 0 && <p className="px-4 pb-3 text-muted text-sm">{text.none}</p>}
    </Panel>
  );
}
