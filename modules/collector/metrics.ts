import type { Labels, Metrics } from '@millrace/telemetry';
import type { Collector } from './collector.ts';
import type { Supervisor } from './supervisor.ts';

/** Registers the metrics of all sources. */
export function collectorMetrics(metrics: Metrics, collector: Collector): void {
  const ofEach = (values: (source: Supervisor) => Iterable<readonly [Labels, number]>) => () =>
    collector
      .sources()
      .flatMap((source) => [...values(source)].map(([labels, value]): [Labels, number] => [{ source: source.id, ...labels }, value]));
  metrics.read(
    'millrace_source_frames_total',
    'Frames received from a source',
    ofEach((source) => [[{}, source.describe().frames]]),
  );
  metrics.read(
    'millrace_source_live',
    'Whether a source is live: 1 or 0',
    ofEach(({ state }) => [[{}, state === 'live' ? 1 : 0]]),
  );
  metrics.read(
    'millrace_history_calls_total',
    'Calls to the history of a source, by kind',
    ofEach(({ historyCalls: { calls, failures, retries } }) =>
      Object.entries({ calls, failures, retries }).map(([kind, count]) => [{ kind }, count] as const),
    ),
  );
  metrics.read(
    'millrace_history_circuit_open',
    'Whether calls to the history of a source are refused after repeated failures: 1 or 0',
    ofEach(({ historyCalls }) => [[{}, historyCalls.circuit === 'open' ? 1 : 0]]),
  );
  metrics.read(
    'millrace_source_refused_total',
    'Frames in quarantine, by reason',
    ofEach((source) => Object.entries(source.describe().refused).map(([kind, count]) => [{ kind }, count] as const)),
  );
}
