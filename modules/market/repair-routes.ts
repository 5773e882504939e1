import { ENDPOINTS, rfc3339Of } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import { messageOf } from '@millrace/kernel';
import { type RepairParts, repairInstrument } from './repair.ts';
import { timeOrNull } from './views.ts';

const DAY_MS = 86_400_000;
/** Tolerated lead of sources before our clock, ms. */
const AHEAD_MS = 60_000;

/** The route by which operators repair an instrument whose event time ran ahead. */
export function repairRoutes(
  routes: Routes,
  { now, archiveAfterDays, ...parts }: RepairParts & { readonly now: () => number; readonly archiveAfterDays: number },
): void {
  routes.handle(ENDPOINTS.repairInstrument, async ({ params: { id }, body }) => {
    const after = body.cutoffAt ?? now() + AHEAD_MS;
    const oldest = (Math.floor(now() / DAY_MS) - archiveAfterDays) * DAY_MS;
    if (after < oldest)
      throw new ApiProblem(
        'INVALID_TIME',
        `cutoffAt=${rfc3339Of(after)} is within archived days.`,
        `Give ${rfc3339Of(oldest)} or later: archived trades are not withdrawn.`,
      );
    const settled = () =>
      parts.settled().catch((error: unknown) => {
        throw new ApiProblem('HISTORY_UNAVAILABLE', `The stored history is not up to date: ${messageOf(error)}.`, 'Try again in a moment.');
      });
    const { withdrawn, newestAt } = await repairInstrument({ ...parts, settled }, id, after, body.reason);
    return {
      instrument: id,
      cutoffAt: after,
      newestAt: timeOrNull(newestAt),
      withdrawn: withdrawn.map(({ time, ...trade }) => ({ ...trade, executedAt: time })),
    };
  });
}
