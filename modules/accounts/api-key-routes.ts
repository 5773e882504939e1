import { ENDPOINTS, normalizedName, type Permission, type Principal, TIERS, type Tier } from '@millrace/contracts';
import type { Transaction } from '@millrace/database';
import { ApiProblem, type Routes } from '@millrace/http';
import { expiryOf } from './api-key-expiry.ts';
import { type AccountParts, changeAudited, requireFresh, requirePerson, requireSession, requireTwoFactor } from './request-checks.ts';

/** Adds the endpoints that list, create and revoke one’s own API keys. */
export function apiKeyRoutes(routes: Routes, parts: AccountParts): void {
  const { keys } = parts;

  routes.list(
    ENDPOINTS.listApiKeys,
    ({ id }) => id,
    ({ principal }) => keys.list(requirePerson(principal).user),
  );

  routes.handle(ENDPOINTS.createApiKey, async ({ body, raw, principal }) => {
    // A key outlives an access token, so an access token alone must not create one.
    const { user } = requireSession(principal);
    await requireFresh(parts, raw);
    await requireTwoFactor(parts, principal);
    requireScopes(principal, body.scopes);
    const expiresAt = expiryOf(body.expiresAt, Date.now(), parts.keyDays);
    const keysMax = TIERS[principal.tier as Tier].keys;
    const create = async (transaction: Transaction) => {
      const created = await keys.create(user, { name: normalizedName(body.name), scopes: body.scopes, expiresAt }, keysMax, transaction);
      if (!created) throw new ApiProblem('CONFLICT', `You have ${keysMax} API keys, the limit of your tier.`, 'Revoke one first.');
      return created;
    };
    const created = await changeAudited(parts, raw, principal, create, ({ id, name, scopes }) => ({
      action: 'key created',
      subject: id,
      detail: { name, scopes, expiresAt },
    }));
    await parts.notify(user, 'keyMade');
    return created;
  });

  routes.handle(ENDPOINTS.getApiKey, async ({ params, principal }) => {
    const found = (await keys.list(requirePerson(principal).user)).find(({ id }) => id === params.key);
    if (!found) throw unknownKey(params.key);
    return found;
  });

  routes.handle(ENDPOINTS.revokeApiKey, async ({ params, raw, principal }) => {
    const { user } = requirePerson(principal);
    const revoke = async (transaction: Transaction) => {
      if (!(await keys.revoke(user, params.key, transaction))) throw unknownKey(params.key);
    };
    await changeAudited(parts, raw, principal, revoke, () => ({ action: 'key revoked', subject: params.key }));
    await parts.revocations.changed();
  });
}

/** @throws ApiProblem FORBIDDEN when the principal lacks one of the scopes of a new key */
function requireScopes({ permissions }: Principal, scopes: readonly Permission[]): void {
  const lacking = scopes.filter((scope) => !permissions.has(scope));
  if (lacking.length > 0)
    throw new ApiProblem('FORBIDDEN', `An API key cannot have scopes that its owner lacks: ${lacking.join(', ')}.`, 'Remove these scopes.');
}

function unknownKey(key: string): ApiProblem {
  return new ApiProblem('NOT_FOUND', `API key "${key}" not found.`, 'GET /api/v1/account/keys lists your API keys.');
}
