import type { Source } from '@millrace/contracts';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api } from '../api.ts';
import { useLive } from '../live/live.ts';
import { serverNow } from '../live/server-clock.ts';
import { SimulatedBadge, StateBadge } from '../parts/badges.tsx';
import { confirmFirst } from '../parts/confirm.tsx';
import { Button, Outcome } from '../parts/controls.tsx';
import { Failure, Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { StatTile } from '../parts/stat-tile.tsx';
import { filled, useText } from '../text/text.ts';

/** All sources: status, rate, delay and quarantine. */
export function SourcesPage() {
  const text = useText();
  const sources = useLive((live) => live.sources);
  return (
    <>
      <h1 className="py-4 font-semibold text-lg">{text.sources}</h1>
      {sources === null ? (
        <Notice title={text.loading} />
      ) : sources.size === 0 ? (
        <Notice title={text.noSources} hint={text.noInstrumentsHint} />
      ) : (
        <div className="grid grid-cols-1 gap-3">
          {[...sources.values()]
            .sort((a, b) => a.id.localeCompare(b.id))
            .map((source) => (
              <SourceCard key={source.id} source={source} />
            ))}
        </div>
      )}
    </>
  );
}

function SourceCard({ source }: { source: Source }) {
  const text = useText();
  const { whole, when } = useFormats();
  const [open, setOpen] = useState(false);
  const refused = total(source.refused);
  const faults = total(source.faults);
  return (
    <section className="rounded-lg border border-line bg-surface">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2 px-4 pt-3">
        <h2 className="font-medium">{source.id}</h2>
        <span className="text-muted text-sm">{source.type}</span>
        {source.simulated && <SimulatedBadge />}
        <StateBadge state={source.state} />
        <Countdown until={source.reconnectAt} />
        <Commands source={source} />
      </div>
      {source.state !== 'live' && <p className="px-4 pt-1 text-muted text-sm">{source.reason}</p>}
      <dl className="grid grid-cols-2 gap-x-6 gap-y-3 px-4 py-3 sm:grid-cols-4 lg:grid-cols-7">
        <StatTile name={text.rate} value={source.framesPerSecond.toFixed(1)} unit={text.framesPerSecond} />
        <StatTile name={text.latency} value={source.latencyMs === null ? '–' : whole(Math.round(source.latencyMs))} unit="ms" />
        <StatTile name={text.frames} value={whole(source.frames)} />
        <StatTile name={text.lastFrame} value={source.lastFrameAt === null ? '–' : when(source.lastFrameAt)} />
        <StatTile name={text.connections} value={whole(source.connections)} />
        <StatTile name={text.refused} value={whole(refused)} alarming={refused > 0} />
        <StatTile name={text.faults} value={whole(faults)} alarming={faults > 0} />
      </dl>
      <div className="border-line border-t">
        <button
          type="button"
          onClick={() => setOpen(!open)}
          aria-expanded={open}
          className="w-full px-4 py-2 text-left text-muted text-sm hover:text-ink"
        >
          {open ? '▾' : '▸'} {text.details}
        </button>
        {open && <Details source={source} />}
      </div>
    </section>
  );
}

function Commands({ source }: { source: Source }) {
  const text = useText();
  const setSource = useLive((live) => live.setSource);
  const command = useMutation({ mutationFn: (name: 'restart' | 'pause' | 'resume') => api.command(source.id, name), onSuccess: setSource });
  const paused = source.state === 'paused';
  const ask = (name: 'restart' | 'pause', message: string) =>
    confirmFirst({
      title: `${text[name]}: ${source.id}`,
      message: filled(message, { name: source.id }),
      action: text[name],
      act: () => command.mutate(name),
    });
  return (
    <div className="ml-auto flex flex-wrap items-center gap-2">
      <Outcome error={command.error} />
      <Button disabled={command.isPending} onClick={() => (paused ? command.mutate('resume') : ask('pause', text.askPauseSource))}>
        {paused ? text.resume : text.pause}
      </Button>
      <Button disabled={command.isPending} onClick={() => ask('restart', text.askRestartSource)}>
        {text.restart}
      </Button>
    </div>
  );
}

/** Counts down to the next attempt, so that users need not press restart. */
function Countdown({ until }: { until: number | null }) {
  const text = useText();
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    if (until === null) return;
    const timer = setInterval(() => setNow(serverNow()), 500);
    return () => clearInterval(timer);
  }, [until]);
  if (until === null) return null;
  return (
    <span className="text-muted text-sm">
      {text.nextAttempt} {Math.max(0, Math.ceil((until - now) / 1_000))} {text.seconds}
    </span>
  );
}

function Details({ source }: { source: Source }) {
  const text = useText();
  const { when } = useFormats();
  const quarantine = useQuery({ queryKey: ['quarantine', source.id], queryFn: () => api.quarantine(source.id), refetchInterval: 5_000 });
  return (
    <div className="grid gap-4 px-4 pb-4 text-sm">
      <div className="grid gap-4 sm:grid-cols-2 lg:grid-cols-4">
        <Counts title={text.consumed} counts={source.consumed} />
        <Counts title={text.ignored} counts={source.ignored} />
        <Counts title={text.refused} counts={source.refused} />
        <Counts title={text.faults} counts={source.faults} />
      </div>
      <div>
        <h3 className="mb-1 text-muted text-xs">{text.quarantine}</h3>
        {quarantine.isLoadingError ? (
          <Failure error={quarantine.error} onRetry={() => void quarantine.refetch()} />
        ) : quarantine.data && quarantine.data.length > 0 ? (
          <ul className="grid gap-1">
            {quarantine.data.slice(0, 10).map((frame) => (
              <li key={`${frame.receivedAt} ${frame.frame}`} className="grid gap-x-3 rounded bg-raised px-2 py-1 sm:grid-cols-[auto_1fr]">
                <span className="text-muted">{when(frame.receivedAt)}</span>
                <span>{frame.detail}</span>
                <code className="truncate text-muted text-xs sm:col-span-2">{frame.frame}</code>
              </li>
            ))}
          </ul>
        ) : (
          <p className="text-muted">{quarantine.data ? text.quarantineEmpty : text.loading}</p>
        )}
      </div>
    </div>
  );
}

function Counts({ title, counts }: { title: string; counts: Record<string, number> }) {
  const text = useText();
  const { whole } = useFormats();
  const entries = Object.entries(counts);
  return (
    <div>
      <h3 className="mb-1 text-muted text-xs">{title}</h3>
      {entries.length === 0 && <p className="text-muted">{text.none}</p>}
      <dl className="grid grid-cols-[1fr_auto] gap-x-3">
        {entries.map(([kind, count]) => (
          <div key={kind} className="contents">
            <dt>{kind}</dt>
            <dd className="text-right">{whole(count)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
