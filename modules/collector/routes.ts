import { ENDPOINTS } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import type { Collector } from './collector.ts';
import type { Supervisor } from './supervisor.ts';

export function collectorRoutes(routes: Routes, collector: Collector): void {
  const sourceOf = (id: string): Supervisor => {
    const supervisor = collector.source(id);
    const known = collector.sources().map((source) => source.id);
    if (!supervisor) throw new ApiProblem('UNKNOWN_SOURCE', `Unknown source "${id}".`, `Sources: ${known.join(', ') || 'none'}.`);
    return supervisor;
  };
  routes.list(
    ENDPOINTS.listSources,
    ({ id }) => id,
    () => collector.sources().map((source) => source.describe()),
  );
  routes.handle(ENDPOINTS.getSource, ({ params }) => sourceOf(params.id).describe());
  routes.list(
    ENDPOINTS.listQuarantine,
    ({ receivedAt, reason, detail }) => `${receivedAt} ${reason} ${detail}`,
    ({ params }) => [...sourceOf(params.id).quarantine],
  );
  routes.handle(ENDPOINTS.restartSource, ({ params }) => {
    const source = sourceOf(params.id);
    source.restart();
    return source.describe();
  });
  routes.handle(ENDPOINTS.pauseSource, ({ params }) => {
    const source = sourceOf(params.id);
    if (source.state === 'paused')
      throw new ApiProblem(
        'CONFLICT',
        `"${params.id}" is already paused.`,
        'No action is needed. POST /api/v1/sources/{id}/resume resumes it.',
      );
    source.pause();
    return source.describe();
  });
  routes.handle(ENDPOINTS.resumeSource, ({ params }) => {
    const source = sourceOf(params.id);
    if (source.state !== 'paused')
      throw new ApiProblem(
        'CONFLICT',
        `"${params.id}" is ${source.state}, not paused.`,
        'Only a paused source can be resumed. To reconnect, use POST /api/v1/sources/{id}/restart.',
      );
    source.resume();
    return source.describe();
  });
}
