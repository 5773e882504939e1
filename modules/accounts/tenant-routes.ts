import { Readable } from 'node:stream';
import { ENDPOINTS, type Invitation, normalizedName, PAGE_ROWS, type Principal, type Role, type Tenant } from '@millrace/contracts';
import { ApiProblem, decodeCursor, pageOf, type Routes } from '@millrace/http';
import { exportedEntries } from './audit.ts';
import { type AccountParts, note, requireFresh, requirePerson, requireTwoFactor } from './request-checks.ts';
import { makeResetLink } from './reset-links.ts';

/** Tenants, their users, and what was done in them. */
export function tenantRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore, audit, mailer } = parts;

  /** Of another tenant’s existence nobody learns; the installation’s own administrators see all. */
  const requireTenant = async (principal: Principal, tenant: string): Promise<void> => {
    const isOwn = principal.tenant === tenant;
    if (isOwn || (principal.permissions.has('platform:admin') && (await userStore.tenantExists(tenant)))) return;
    throw new ApiProblem('UNKNOWN_TENANT', `Unknown tenant "${tenant}", or you cannot access it.`, `Your tenant is "${principal.tenant}".`);
  };
  const tenantOf = async (tenant: string): Promise<Tenant> => {
    const found = (await userStore.tenants()).find(({ id }) => id === tenant);
    if (!found) throw new ApiProblem('UNKNOWN_TENANT', `Unknown tenant "${tenant}".`, 'GET /api/v1/tenants lists all tenants.');
    return found;
  };
  const invite = async (offer: { tenant: string; role: Role; email: string | null }, principal: Principal): Promise<Invitation> => {
    const { token, ...invitation } = await userStore.createInvitation({ ...offer, invitedBy: principal.user ?? principal.name });
    return { ...invitation, role: offer.role, email: offer.email, link: `${parts.baseUrl()}/sign-up?invitation=${token}` };
  };

  routes.list(
    ENDPOINTS.listTenants,
    ({ id }) => id,
    () => userStore.tenants(),
  );

  // Whoever lets others in lets in more than a key was made for: that is for people.
  routes.handle(ENDPOINTS.createTenant, async ({ body, raw, principal }) => {
    requirePerson(principal);
    if (!(await userStore.createTenant({ ...body, name: normalizedName(body.name) })))
      throw new ApiProblem('CONFLICT', `Tenant "${body.id}" already exists.`, 'Choose another id.');
    await note(parts, raw, principal, 'tenant founded', body.id, { name: body.name, tier: body.tier });
    const invitation = await invite({ tenant: body.id, role: 'admin', email: null }, principal);
    return { ...(await tenantOf(body.id)), invitation };
  });

  routes.handle(ENDPOINTS.getTenant, async ({ params, principal }) => {
    await requireTenant(principal, params.tenant);
    return tenantOf(params.tenant);
  });

  routes.handle(ENDPOINTS.updateTenant, async ({ params, body, raw, principal }) => {
    await requireTenant(principal, params.tenant);
    await userStore.updateTenant(params.tenant, { ...body, ...(body.name !== undefined && { name: normalizedName(body.name) }) });
    await parts.revocations.changed();
    await note(parts, raw, principal, 'tenant changed', params.tenant, body);
    return tenantOf(params.tenant);
  });

  routes.list(
    ENDPOINTS.listUsers,
    ({ id }) => id,
    async ({ params, principal }) => {
      await requireTenant(principal, params.tenant);
      return userStore.listUsers(params.tenant);
    },
  );

  routes.handle(ENDPOINTS.createInvitation, async ({ params, body, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(principal, params.tenant);
    const email = body.email?.toLowerCase() ?? null;
    const invitation = await invite({ tenant: params.tenant, role: body.role, email }, principal);
    await note(parts, raw, { ...principal, tenant: params.tenant }, 'user invited', email ?? 'whoever has the link', { role: body.role });
    if (email !== null) mailer?.send({ to: email, kind: 'invitation', link: invitation.link });
    return invitation;
  });

  routes.list(
    ENDPOINTS.listInvitations,
    ({ id }) => id,
    async ({ params, principal }) => {
      await requireTenant(principal, params.tenant);
      return userStore.pendingInvitations(params.tenant);
    },
  );

  routes.handle(ENDPOINTS.getInvitation, async ({ params, principal }) => {
    await requireTenant(principal, params.tenant);
    return (await userStore.pendingInvitations(params.tenant)).find(({ id }) => id === params.invitation) ?? refuseInvitation(params);
  });

  routes.handle(ENDPOINTS.deleteInvitation, async ({ params, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(principal, params.tenant);
    const withdrawn = await userStore.deleteInvitation(params.tenant, params.invitation);
    if (withdrawn === null) return refuseInvitation(params);
    await note(parts, raw, { ...principal, tenant: params.tenant }, 'invitation withdrawn', withdrawn.email ?? 'whoever has the link', {
      role: withdrawn.role,
    });
  });

  routes.handle(ENDPOINTS.getUser, async ({ params, principal }) => {
    await requireTenant(principal, params.tenant);
    return (await userStore.userIn(params.tenant, params.user)) ?? refuseUser(params);
  });

  routes.handle(ENDPOINTS.updateUser, async ({ params, body, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(principal, params.tenant);
    const before = await userStore.userIn(params.tenant, params.user);
    if (!before) return refuseUser(params);
    const staysAdmin = (body.role ?? before.role) === 'admin' && !(body.disabled ?? before.disabled);
    if (before.role === 'admin' && !before.disabled && !staysAdmin && !(await userStore.hasOtherAdmin(params.tenant, params.user)))
      throw new ApiProblem(
        'CONFLICT',
        `${before.name} is the last administrator of ${params.tenant}.`,
        'Make another user an administrator first.',
      );
    const changed = await userStore.updateUser(params.tenant, params.user, body);
    await parts.revocations.changed();
    await note(parts, raw, { ...principal, tenant: params.tenant }, 'user changed', before.email, body);
    return changed ?? before;
  });

  routes.handle(ENDPOINTS.createResetLink, async ({ params, raw, principal }) => {
    requirePerson(principal);
    await requireTenant(principal, params.tenant);
    // With it one comes in as somebody else: a browser that was left open must not be enough.
    await requireFresh(parts, raw);
    await requireTwoFactor(parts, principal);
    const found = await userStore.userIn(params.tenant, params.user);
    if (!found) return refuseUser(params);
    if (found.disabled) throw new ApiProblem('CONFLICT', `${found.name} is disabled.`, 'Enable the user first.');
    const made = await makeResetLink(parts.database, params.user, parts.baseUrl());
    await note(parts, raw, { ...principal, tenant: params.tenant }, 'password reset link made', found.email);
    return made;
  });

  routes.handle(ENDPOINTS.listAudit, async ({ params, query, principal }) => {
    await requireTenant(principal, params.tenant);
    const limit = query.limit ?? PAGE_ROWS;
    const [before] = query.cursor === undefined ? [undefined] : decodeCursor(query.cursor, ['number']);
    return pageOf(await audit.list(params.tenant, { before, limit: limit + 1 }), limit, ({ number }) => [number]);
  });

  routes.stream(ENDPOINTS.exportAudit, async ({ params, raw, reply, principal }) => {
    await requireTenant(principal, params.tenant);
    await note(parts, raw, { ...principal, tenant: params.tenant }, 'audit log exported', params.tenant);
    const name = `audit-${params.tenant}-${new Date().toISOString().slice(0, 10)}.ndjson`;
    return reply
      .header('content-disposition', `attachment; filename="${name}"`)
      .type('application/x-ndjson')
      .send(Readable.from(exportedEntries(params.tenant, audit)));
  });

  routes.handle(ENDPOINTS.verifyAudit, async ({ params, principal }) => {
    await requireTenant(principal, params.tenant);
    return audit.verify(params.tenant);
  });
}

function refuseUser({ user, tenant }: { user: string; tenant: string }): never {
  throw new ApiProblem('UNKNOWN_USER', `Unknown user "${user}" in ${tenant}.`, 'GET /api/v1/tenants/{tenant}/users lists all users.');
}

function refuseInvitation({ invitation, tenant }: { invitation: string; tenant: string }): never {
  throw new ApiProblem(
    'NOT_FOUND',
    `No pending invitation "${invitation}" in ${tenant}.`,
    'It was used, withdrawn or has expired. GET /api/v1/tenants/{tenant}/invitations lists pending invitations.',
  );
}
