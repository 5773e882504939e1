import { ENDPOINTS } from '@millrace/contracts';
import type { Transaction } from '@millrace/database';
import { ApiProblem, type Routes } from '@millrace/http';
import { type AccountParts, changeAudited, requireFresh, requirePerson, requireTenant, requireTwoFactor } from './request-checks.ts';
import { makeResetLink } from './reset-links.ts';

/** Adds the endpoints that list and change the users of a tenant, and create links to reset their passwords. */
export function userRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore } = parts;

  routes.list(
    ENDPOINTS.listUsers,
    ({ id }) => id,
    async ({ params, principal }) => {
      await requireTenant(parts, principal, params.tenant);
      return userStore.listUsers(params.tenant);
    },
  );

  routes.handle(ENDPOINTS.getUser, async ({ params, principal }) => {
    await requireTenant(parts, principal, params.tenant);
    const found = await userStore.userIn(params.tenant, params.user);
    if (!found) throw unknownUser(params);
    return found;
  });

  routes.handle(ENDPOINTS.updateUser, async ({ params, body, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(parts, principal, params.tenant);
    const change = async (transaction: Transaction) => {
      const changed = await userStore.updateUser(params.tenant, params.user, body, transaction);
      if (changed === null) throw unknownUser(params);
      if (changed !== 'last-administrator') return changed;
      const last = await userStore.userIn(params.tenant, params.user, transaction);
      throw new ApiProblem(
        'CONFLICT',
        `${last?.name ?? params.user} is the last administrator of ${params.tenant}.`,
        'Make another user an administrator first.',
      );
    };
    const changed = await changeAudited(parts, raw, { ...principal, tenant: params.tenant }, change, ({ email }) => ({
      action: 'user changed',
      subject: email,
      detail: body,
    }));
    await parts.revocations.changed();
    return changed;
  });

  routes.handle(ENDPOINTS.createResetLink, async ({ params, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(parts, principal, params.tenant);
    // The link gives access to the account of another user, so a browser that was left unattended must not be enough.
    await requireFresh(parts, raw);
    await requireTwoFactor(parts, principal);
    const found = await userStore.userIn(params.tenant, params.user);
    if (!found) throw unknownUser(params);
    if (found.disabled) throw new ApiProblem('CONFLICT', `${found.name} is disabled.`, 'Enable the user first.');
    return changeAudited(
      parts,
      raw,
      { ...principal, tenant: params.tenant },
      (transaction) => makeResetLink(transaction, params.user, parts.baseUrl()),
      () => ({ action: 'password reset link created', subject: found.email }),
    );
  });
}

function unknownUser({ user, tenant }: { user: string; tenant: string }): ApiProblem {
  return new ApiProblem('UNKNOWN_USER', `Unknown user "${user}" in ${tenant}.`, 'GET /api/v1/tenants/{tenant}/users lists all users.');
}
