import type { SourceState } from '@millrace/contracts';
import type { ReactNode } from 'react';
import { useIsLost } from '../live/connection.ts';
import { useText } from '../text/text.ts';

const BASE = 'inline-flex items-center gap-1.5 whitespace-nowrap rounded-full px-2 py-0.5 text-xs';

/** Badge `live` or `stale`, with the reason on hover. */
export function StatusBadge({ status, reason }: { status: 'live' | 'stale'; reason: string | null }) {
  const text = useText();
  const live = status === 'live';
  if (useIsLost()) return <UnknownBadge last={live ? text.live : text.stale} />;
  return (
    <span className={`${BASE} ${live ? 'bg-accent-soft text-accent' : 'bg-warn-soft text-warn'}`} title={reason ?? undefined}>
      <span className="size-1.5 rounded-full bg-current" />
      {live ? text.live : text.stale}
    </span>
  );
}

/** Badge of an unknown state, without a connection to the server. */
function UnknownBadge({ last }: { last: string }) {
  const text = useText();
  return (
    <span className={`${BASE} border border-line border-dashed text-muted`} title={text.unknownHint.replace('{state}', last)}>
      {text.unknown}
    </span>
  );
}

/** Badge of a state. Without a connection it is unknown, with the last state on hover. */
export function useStateWords(): (words: string) => ReactNode {
  const text = useText();
  const isLost = useIsLost();
  return (words) =>
    isLost ? (
      <span className="text-muted" title={text.unknownHint.replace('{state}', words)}>
        {text.unknown}
      </span>
    ) : (
      words
    );
}

/** Badge of simulated data, so that it is never taken for real data. */
export function SimulatedBadge() {
  const text = useText();
  return (
    <span className={`${BASE} border border-line text-muted`} title={text.simulatedHint}>
      {text.simulated}
    </span>
  );
}

const CALM: readonly SourceState[] = ['live', 'finished'];

export function StateBadge({ state }: { state: SourceState }) {
  const text = useText();
  if (useIsLost()) return <UnknownBadge last={text[state]} />;
  const tone = CALM.includes(state)
    ? 'bg-accent-soft text-accent'
    : state === 'paused' || state === 'stopped'
      ? 'bg-raised text-muted'
      : 'bg-warn-soft text-warn';
  return (
    <span className={`${BASE} ${tone}`}>
      <span className="size-1.5 rounded-full bg-current" />
      {text[state]}
    </span>
  );
}
