import { ENDPOINTS, type Invitation, type Principal, type Role } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import { type AccountParts, note, requirePerson, requireTenant } from './request-checks.ts';

/** Adds the endpoints that create, list and withdraw the invitations of a tenant. */
export function invitationRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore, mailer } = parts;

  routes.handle(ENDPOINTS.createInvitation, async ({ params, body, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(parts, principal, params.tenant);
    const email = body.email?.toLowerCase() ?? null;
    const invitation = await createInvitation(parts, { tenant: params.tenant, role: body.role, email }, principal);
    await note(parts, raw, { ...principal, tenant: params.tenant }, 'user invited', inviteeOf(email), { role: body.role });
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
    const withdrawn = await userStore.deleteInvitation(params.tenant, params.invitation);
    if (withdrawn === null) throw unknownInvitation(params);
    const { email, role } = withdrawn;
    await note(parts, raw, { ...principal, tenant: params.tenant }, 'invitation revoked', inviteeOf(email), { role });
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
): Promise<Invitation> {
  const { token, ...invitation } = await userStore.createInvitation({ ...grant, invitedBy: invitedBy.user ?? invitedBy.name });
  return { ...invitation, role: grant.role, email: grant.email, link: `${baseUrl()}/sign-up?invitation=${token}` };
}

/** Subject of an invitation in the audit log. */
function inviteeOf(email: string | null): string {
  return email ?? 'whoever has the link';
}

function unknownInvitation({ invitation, tenant }: { invitation: string; tenant: string }): ApiProblem {
  return new ApiProblem(
    'NOT_FOUND',
    `No pending invitation "${invitation}" in ${tenant}.`,
    'It was used or revoked, or has expired. GET /api/v1/tenants/{tenant}/invitations lists pending invitations.',
  );
}
