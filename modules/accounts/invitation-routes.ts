import { ENDPOINTS, type Invitation, type Principal, type Role } from '@millrace/contracts';
import type { Transaction } from '@millrace/database';
import { ApiProblem, type Routes } from '@millrace/http';
import { type AccountParts, changeAudited, requirePerson, requireTenant } from './request-checks.ts';

/** Adds the endpoints that create, list and withdraw the invitations of a tenant. */
export function invitationRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore, mailer } = parts;

  routes.handle(ENDPOINTS.createInvitation, async ({ params, body, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(parts, principal, params.tenant);
    const email = body.email?.toLowerCase() ?? null;
    const grant = { tenant: params.tenant, role: body.role, email };
    const invitation = await changeAudited(
      parts,
      raw,
      { ...principal, tenant: params.tenant },
      (transaction) => createInvitation(parts, grant, principal, transaction),
      () => ({ action: 'user invited', subject: inviteeOf(email), detail: { role: body.role } }),
    );
    if (email !== null) mailer?.send({ to: email, kind: 'invitation', link: invitation.link });
    return invitation;
  });

  routes.list(
    ENDPOINTS.listInvitations,
    ({ id }) => id,
    async ({ params, principal }) => {
      await requireTenant(parts, principal, params.tenant);
      return userStore.pendingInvitations(params.tenant);
    },
  );

  routes.handle(ENDPOINTS.getInvitation, async ({ params, principal }) => {
    await requireTenant(parts, principal, params.tenant);
    const found = (await userStore.pendingInvitations(params.tenant)).find(({ id }) => id === params.invitation);
    if (!found) throw unknownInvitation(params);
    return found;
  });

  routes.handle(ENDPOINTS.deleteInvitation, async ({ params, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(parts, principal, params.tenant);
    await userStore.expireUsedInvitation(params.tenant, params.invitation);
    const revoke = async (transaction: Transaction) => {
      const deleted = await userStore.deleteInvitation(params.tenant, params.invitation, transaction);
      if (deleted === null) throw unknownInvitation(params);
      return deleted;
    };
    await changeAudited(parts, raw, { ...principal, tenant: params.tenant }, revoke, ({ email, role }) => ({
      action: 'invitation revoked',
      subject: inviteeOf(email),
      detail: { role },
    }));
  });
}

/**
 * Creates an invitation to a tenant, with its link.
 * @param grant what the new user gets. Without an e-mail address, anyone who has the link can use it.
 */
export async function createInvitation(
  { userStore, baseUrl }: AccountParts,
  grant: { readonly tenant: string; readonly role: Role; readonly email: string | null },
  invitedBy: Principal,
  transaction: Transaction,
): Promise<Invitation> {
  const { token, ...invitation } = await userStore.createInvitation({ ...grant, invitedBy: invitedBy.user ?? invitedBy.name }, transaction);
  return { ...invitation, role: grant.role, email: grant.email, link: `${baseUrl()}/sign-up?invitation=${token}` };
}

/** Subject of an invitation in the audit log. */
function inviteeOf(email: string | null): string {
  return email ?? 'anyone with the link';
}

function unknownInvitation({ invitation, tenant }: { invitation: string; tenant: string }): ApiProblem {
  return new ApiProblem(
    'NOT_FOUND',
    `No pending invitation "${invitation}" in ${tenant}.`,
    'It was used or revoked, or has expired. GET /api/v1/tenants/{tenant}/invitations lists pending invitations.',
  );
}
