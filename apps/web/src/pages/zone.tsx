import type { SeenObject, ZoneReplay } from '@millrace/contracts';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { Link } from 'wouter';
import { api } from '../api.ts';
import { useIsLost } from '../live/connection.ts';
import { serverNow } from '../live/server-clock.ts';
import { useWorld, useZoneView } from '../live/world.ts';
import { Button, Outcome, Panel } from '../parts/controls.tsx';
import { Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { StatTile } from '../parts/stat-tile.tsx';
import { useText } from '../text/text.ts';
import { Announce } from '../world/announce.tsx';
import { Restore } from '../world/restore.tsx';
import { WorldTabs } from '../world/world-tabs.tsx';
import { ZoneMap } from '../world/zone-map.tsx';

/** Ranges of the slider, ms, with the step of each. */
const STRETCHES = [
  { ms: 60_000, stepMs: 250 },
  { ms: 300_000, stepMs: 250 },
  { ms: 1_200_000, stepMs: 1_000 },
  { ms: 3_600_000, stepMs: 3_000 },
] as const;
/** A view after which no other one has arrived for this time is no longer live. */
const STALE_MS = 2_000;

type Point = ZoneReplay['points'][number];

/** One zone: live map, slider over its history, statistics and operator actions. */
export function ZonePage({ zone }: { zone: string }) {
  const text = useText();
  const live = useZoneView(zone);
  const [past, setPast] = useState<{ points: readonly Point[]; index: number } | null>(null);
  const point = past?.points[past.index];
  const objects = past ? point?.objects : live?.objects;
  const { zones } = useWorld();
  if (zones && !zones.some((status) => status.zone === zone))
    return (
      <>
        <WorldTabs />
        <Notice title={`${text.noSuchZone}: ${zone}`} way={{ href: '/worlds', label: text.zones }} />
      </>
    );
  return (
    <>
      <WorldTabs
        aside={
          <h1 className="text-sm">
            <span className="text-muted">{text.zone}</span> <span className="font-semibold">{zone}</span>
          </h1>
        }
      />
      <div className="grid grid-cols-1 items-start gap-3 lg:grid-cols-[minmax(0,1fr)_minmax(320px,36%)]">
        <section className="rounded-lg border border-line bg-surface p-3">
          <div className="relative mx-auto max-w-[min(100%,calc(100dvh-240px))]">
            <ZoneMap zone={zone} objects={objects} gliding={past === null} label={`${text.mapOf} ${zone}`} />
            <Stamp time={past ? point?.stateAt : live?.stateAt} isPast={past !== null} />
          </div>
          <TimeSlider zone={zone} liveAt={live?.stateAt} past={past} onPast={setPast} />
        </section>
        <div className="grid min-w-0 grid-cols-1 content-start gap-3">
          <ZoneMetrics zone={zone} />
          <Here objects={objects} />
          {point ? (
            <RestorePoint zone={zone} point={point} onDone={() => setPast(null)} />
          ) : (
            <Announce
              title={text.announceToZone}
              say={async (words, operator) => {
                const { ok, code, message } = await api.createZoneAnnouncement(zone, words, operator);
                if (!ok) throw new Error(`${code}: ${message}`);
                return text.done;
              }}
            />
          )}
          <SnapshotNow zone={zone} />
        </div>
      </div>
    </>
  );
}

/** Displays `live`, or the time of the displayed state. */
function Stamp({ time, isPast }: { time: number | undefined; isPast: boolean }) {
  const text = useText();
  const { clock } = useFormats();
  // The clock of the server may differ from that of the browser.
  const [arrived, setArrived] = useState({ time, at: performance.now() });
  if (arrived.time !== time) setArrived({ time, at: performance.now() });
  const [now, setNow] = useState(performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const isLost = useIsLost();
  const isLive = !isPast && !isLost && time !== undefined && now - arrived.at < STALE_MS;
  const words = isPast ? text.past : time === undefined ? text.loading : isLive ? text.live : text.stale;
  return (
    <p
      className={`absolute top-2 left-2 rounded-full px-2.5 py-0.5 text-xs ${isLive ? 'bg-accent-soft text-accent' : 'bg-warn-soft text-warn'}`}
    >
      {words} {time !== undefined && clock(time)}
    </p>
  );
}

interface TimeSliderProps {
  readonly zone: string;
  /** Time of the newest state, by the clock of the server, epoch ms. */
  readonly liveAt: number | undefined;
  readonly past: { points: readonly Point[]; index: number } | null;
  readonly onPast: (past: { points: readonly Point[]; index: number } | null) => void;
}

/** Slider over a range of the zone’s record, with playback. */
function TimeSlider({ zone, liveAt, past, onPast }: TimeSliderProps) {
  const text = useText();
  const { clock, period, whole } = useFormats();
  const [isPlaying, setIsPlaying] = useState(false);
  const load = useMutation({
    mutationFn: ({ ms, stepMs }: { ms: number; stepMs: number }) => {
      const to = (liveAt ?? serverNow()) - STALE_MS;
      return api.replay(zone, to - ms, to, stepMs);
    },
    onSuccess: ({ points }) => {
      setIsPlaying(false);
      onPast(points.length > 0 ? { points, index: points.length - 1 } : null);
    },
  });
  const length = past?.points.length ?? 0;
  const index = past?.index ?? 0;
  useEffect(() => {
    if (!isPlaying || !past) return;
    if (index >= length - 1) return setIsPlaying(false);
    const [here, next] = [past.points[index], past.points[index + 1]];
    const timer = setTimeout(() => onPast({ ...past, index: index + 1 }), (next?.stateAt ?? 0) - (here?.stateAt ?? 0));
    return () => clearTimeout(timer);
  }, [isPlaying, past, index, length, onPast]);
  const point = past?.points[index];
  return (
    <div className="mt-3 grid gap-2">
      <div className="flex flex-wrap items-center gap-2">
        <span className="text-muted text-xs">{text.rewind}</span>
        {STRETCHES.map(({ ms, stepMs }) => (
          <Button key={ms} disabled={load.isPending} onClick={() => load.mutate({ ms, stepMs })}>
            {period(ms)}
          </Button>
        ))}
        {past && (
          <Button isLocal tone="main" className="ml-auto" onClick={() => onPast(null)}>
            {text.backToLive}
          </Button>
        )}
      </div>
      <Outcome error={load.error} />
      {past && point && (
        <>
          <div className="flex items-center gap-3">
            <Button
              isLocal
              aria-label={isPlaying ? text.pause : text.playBack}
              onClick={() => {
                if (!isPlaying && index >= length - 1) onPast({ ...past, index: 0 });
                setIsPlaying(!isPlaying);
              }}
            >
              {isPlaying ? '❚❚' : '▶'}
            </Button>
            <input
              type="range"
              min={0}
              max={length - 1}
              value={index}
              aria-label={text.pointInTime}
              aria-valuetext={clock(point.stateAt)}
              onChange={(event) => {
                setIsPlaying(false);
                onPast({ ...past, index: Number(event.target.value) });
              }}
              className="min-w-0 flex-1 accent-accent"
            />
            <output className="text-sm">{clock(point.stateAt)}</output>
          </div>
          <p className="flex flex-wrap gap-x-4 text-muted text-xs" data-seq={point.seq} data-hash={point.hash}>
            <span>
              {text.afterEvent} {whole(point.seq)}
            </span>
            <span className="truncate">
              {text.stateHash} <code>{point.hash.slice(0, 16)}…</code>
            </span>
          </p>
        </>
      )}
    </div>
  );
}

function ZoneMetrics({ zone }: { zone: string }) {
  const text = useText();
  const { duration, whole } = useFormats();
  const { zones } = useWorld();
  const status = zones?.find((one) => one.zone === zone);
  const ms = (value: number | null | undefined) => (value === null || value === undefined ? '–' : value.toFixed(1));
  const age = (at: number | null | undefined) => (at ? duration(serverNow() - at) : '–');
  return (
    <Panel title={text.zoneStats} aside={<span className="text-muted text-sm">{status ? (status.host ?? text.offline) : ''}</span>}>
      <dl className="grid grid-cols-3 gap-x-6 gap-y-3 px-4 pb-3">
        <StatTile name={text.ccu} value={whole(status?.sessions ?? 0)} />
        <StatTile name={text.asleep} value={whole(status?.asleep ?? 0)} />
        <StatTile name={text.flagged} value={whole(status?.flagged ?? 0)} alarming={(status?.flagged ?? 0) > 0} />
        <StatTile name={text.tickMean} value={ms(status?.tickMsMean)} unit="ms" />
        <StatTile name={text.tickMax} value={ms(status?.tickMsMax)} unit="ms" />
        <StatTile name={text.queue} value={whole(status?.waiting ?? 0)} />
        <StatTile name={text.eventsPerSecond} value={whole(status?.events ?? 0)} />
        <StatTile name={text.packetsIn} value={whole(status?.packetsIn ?? 0)} />
        <StatTile name={text.packetsOut} value={whole(status?.packetsOut ?? 0)} />
        <StatTile name={text.rtt} value={ms(status?.rttMs)} unit="ms" />
        <StatTile name={text.hotAge} value={age(status?.hotAt)} />
        <StatTile name={text.coldAge} value={age(status?.coldAt)} />
      </dl>
    </Panel>
  );
}

/** Players and objects in the zone at the displayed time. */
function Here({ objects }: { objects: readonly SeenObject[] | undefined }) {
  const text = useText();
  const { whole } = useFormats();
  const players = objects?.filter(({ kind }) => kind === 'player') ?? [];
  const monsters = objects?.filter(({ kind }) => kind === 'monster').length ?? 0;
  const items = (objects?.length ?? 0) - players.length - monsters;
  return (
    <Panel
      title={text.players}
      aside={
        <span className="text-muted text-xs">
          {whole(players.length)} {text.playersCount} · {whole(monsters)} {text.monsters} · {whole(items)} {text.items}
        </span>
      }
    >
      <ul className="grid max-h-64 grid-cols-2 gap-x-4 overflow-y-auto px-4 pb-3 text-sm">
        {players.map(({ id, name, x, y, health }) => (
          <li key={id} className="flex min-w-0 gap-2">
            <Link href={`/worlds/players/${id}`} className="truncate hover:text-accent">
              {name}
            </Link>
            <span className="ml-auto shrink-0 text-muted text-xs" title={`${x}, ${y} cm`}>
              {health}
            </span>
          </li>
        ))}
      </ul>
      {players.length === 0 && <p className="px-4 pb-3 text-muted text-sm">{text.noPlayersInZone}</p>}
    </Panel>
  );
}

function RestorePoint({ zone, point, onDone }: { zone: string; point: Point; onDone: () => void }) {
  const text = useText();
  const { clock } = useFormats();
  return (
    <Panel title={`${text.restoreTo} ${clock(point.stateAt)}`}>
      <div className="grid gap-2 px-4 pb-3">
        <Restore zone={zone} seq={point.seq} onDone={onDone} />
      </div>
    </Panel>
  );
}

function SnapshotNow({ zone }: { zone: string }) {
  const text = useText();
  const snapshots = useQuery({ queryKey: ['snapshots', zone], queryFn: () => api.snapshots(zone), refetchInterval: 5_000 });
  const count = (store: string) => snapshots.data?.filter((snapshot) => snapshot.store === store).length ?? 0;
  return (
    <Panel
      title={text.snapshots}
      aside={
        <Link href={`/worlds/snapshots?zone=${zone}`} className="text-accent text-sm hover:underline">
          {text.showAll}
        </Link>
      }
    >
      <p className="px-4 pb-3 text-muted text-sm">
        {text.hot} {count('hot')} · {text.cold} {count('cold')}
      </p>
    </Panel>
  );
}
