import { ENDPOINTS, normalizedName, type Tenant } from '@millrace/contracts';
import type { Transaction } from '@millrace/database';
import { ApiProblem, type Routes } from '@millrace/http';
import { createInvitation } from './invitation-routes.ts';
import { type AccountParts, changeAudited, requirePerson, requireTenant } from './request-checks.ts';
import type { UserStore } from './user-store.ts';

/** Adds the endpoints that list, create and change tenants. */
export function tenantRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore } = parts;

  routes.list(
    ENDPOINTS.listTenants,
    ({ id }) => id,
    () => userStore.tenants(),
  );

  routes.handle(ENDPOINTS.createTenant, async ({ body, raw, principal }) => {
    // The invitation of its administrator grants more than an API key may grant.
    requirePerson(principal);
    const create = async (transaction: Transaction) => {
      if (!(await userStore.createTenant({ ...body, name: normalizedName(body.name) }, transaction)))
        throw new ApiProblem('CONFLICT', `Tenant "${body.id}" already exists.`, 'Choose another id.');
      return createInvitation(parts, { tenant: body.id, role: 'admin', email: null }, principal, transaction);
    };
    const invitation = await changeAudited(parts, raw, principal, create, () => ({
      action: 'tenant created',
      subject: body.id,
      detail: { name: body.name, tier: body.tier },
    }));
    return { ...(await tenantOf(userStore, body.id)), invitation };
  });

  routes.handle(ENDPOINTS.getTenant, async ({ params, principal }) => {
    await requireTenant(parts, principal, params.tenant);
    return tenantOf(userStore, params.tenant);
  });

  routes.handle(ENDPOINTS.updateTenant, async ({ params, body, raw, principal }) => {
    await requireTenant(parts, principal, params.tenant);
    const change = { ...body, ...(body.name !== undefined && { name: normalizedName(body.name) }) };
    await changeAudited(
      parts,
      raw,
      principal,
      (transaction) => userStore.updateTenant(params.tenant, change, transaction),
      () => ({ action: 'tenant changed', subject: params.tenant, detail: body }),
    );
    userStore.forgetTiers();
    await parts.revocations.changed();
    return tenantOf(userStore, params.tenant);
  });
}

/** @throws ApiProblem UNKNOWN_TENANT */
async function tenantOf(userStore: UserStore, tenant: string): Promise<Tenant> {
  const found = (await userStore.tenants()).find(({ id }) => id === tenant);
  if (!found) throw new ApiProblem('UNKNOWN_TENANT', `Unknown tenant "${tenant}".`, 'GET /api/v1/tenants lists all tenants.');
  return found;
}
