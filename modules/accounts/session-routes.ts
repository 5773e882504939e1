import { ENDPOINTS } from '@millrace/contracts';
import type { Transaction } from '@millrace/database';
import { ApiProblem, type Routes } from '@millrace/http';
import { type AccountParts, changeAudited, requirePerson } from './request-checks.ts';

/** Adds the endpoints that list one’s own sessions and end one of them. */
export function sessionRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore, revocations } = parts;

  routes.list(
    ENDPOINTS.listSessions,
    ({ id }) => id,
    async ({ principal }) => userStore.sessions(requirePerson(principal).user, principal.credential),
  );

  routes.handle(ENDPOINTS.deleteSession, async ({ params, raw, principal }) => {
    const { user } = requirePerson(principal);
    const end = async (transaction: Transaction) => {
      if (!(await userStore.deleteSession(user, params.session, transaction)))
        throw new ApiProblem('NOT_FOUND', `Session "${params.session}" not found.`, 'GET /api/v1/account/sessions lists your sessions.');
    };
    await changeAudited(parts, raw, principal, end, () => ({ action: 'session ended', subject: params.session }));
    await revocations.changed();
  });
}
