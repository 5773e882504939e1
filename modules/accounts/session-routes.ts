import { ENDPOINTS } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import { type AccountParts, note, requirePerson } from './request-checks.ts';

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
    if (!(await userStore.deleteSession(user, params.session)))
      throw new ApiProblem('NOT_FOUND', `Session "${params.session}" not found.`, 'GET /api/v1/account/sessions lists your sessions.');
    await revocations.changed();
    await note(parts, raw, principal, 'session ended', params.session);
  });
}
