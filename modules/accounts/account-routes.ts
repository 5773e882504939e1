import { type Account, ENDPOINTS, normalizedName, type Principal, type Role, TIERS, type Tier } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { asking, requireStrong, withinSession } from './auth-problems.ts';
import {
  type AccountParts,
  attempt,
  headersOf,
  note,
  relay,
  requireFresh,
  requirePerson,
  requireSession,
  requireTwoFactor,
} from './request-checks.ts';

const DAY_MS = 86_400_000;

/** One’s own account: name, password, two-factor authentication, sessions, keys. */
export function accountRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore, keys, principals, lockout } = parts;

  const accountOf = async (principal: Principal): Promise<Account> => {
    const { kind, user, name, tenant, role, tier, permissions } = principal;
    const found = kind === 'demo' ? null : await userStore.userIn(tenant, user ?? '');
    return {
      kind: kind as Account['kind'],
      user: user ?? '',
      name: found?.name ?? name,
      email: found?.email ?? null,
      tenant,
      role: role as Role,
      tier: tier as Tier,
      limits: TIERS[tier as Tier],
      permissions: [...permissions],
      twoFactorEnabled: found?.twoFactorEnabled ?? false,
      twoFactorRequired: principal.lacksTwoFactor,
    };
  };

  routes.handle(ENDPOINTS.getAccount, ({ principal }) => accountOf(principal));

  routes.handle(ENDPOINTS.updateAccount, async ({ body, raw, principal }) => {
    const { user } = requireSession(principal);
    const before = await userStore.user(user);
    const name = await parts.names.change(principal.tenant, user, body.name);
    principals.forgetUser(user);
    await note(parts, raw, { ...principal, name: before?.name ?? principal.name }, 'name changed', user, { from: before?.name, to: name });
    return accountOf(principal);
  });

  /** What asks for the password again is guarded like signing in. */
  const withPassword = async <T>(
    raw: FastifyRequest,
    reply: FastifyReply,
    principal: Principal,
    work: (headers: Headers) => Promise<T>,
  ) => {
    const { user } = requireSession(principal);
    return attempt(lockout, reply, user, raw.ip, () => asking(() => work(headersOf(raw)))).catch((error: unknown) => {
      throw withinSession(error);
    });
  };

  routes.handle(ENDPOINTS.changePassword, async ({ body, raw, reply, principal }) => {
    const own = await userStore.user(requireSession(principal).user);
    await requireStrong(body.next, [own?.name ?? '', own?.email ?? '']);
    const { headers } = await withPassword(raw, reply, principal, (asked) =>
      parts.identity().api.changePassword({
        body: { currentPassword: body.current, newPassword: body.next, revokeOtherSessions: true },
        headers: asked,
        returnHeaders: true,
      }),
    );
    relay(reply, headers);
    const keysEnded = body.endKeys ? await keys.revokeAll(principal.user as string) : 0;
    await parts.revocations.changed();
    await note(parts, raw, principal, 'password changed', principal.user as string, { keysEnded });
    await parts.notify(principal.user as string, 'password');
  });

  routes.handle(ENDPOINTS.enableTwoFactor, async ({ body, raw, reply, principal }) => {
    await requireTwoFactor(parts, principal);
    const setup = await withPassword(raw, reply, principal, (headers) =>
      parts.identity().api.enableTwoFactor({ body: { password: body.password, method: 'totp' }, headers }),
    );
    if (setup.method !== 'totp') throw new Error('another method than TOTP was set up');
    return { uri: setup.totpURI, recoveryCodes: setup.backupCodes };
  });

  routes.handle(ENDPOINTS.confirmTwoFactor, async ({ body, raw, reply, principal }) => {
    await requireTwoFactor(parts, principal);
    const { headers } = await withPassword(raw, reply, principal, (asked) =>
      parts.identity().api.verifyTOTP({ body: { code: body.code }, headers: asked, returnHeaders: true }),
    );
    relay(reply, headers);
    await parts.revocations.changed();
    await parts.consumeCode(principal.user as string, body.code);
    await note(parts, raw, principal, 'two-factor enabled', principal.user as string);
    await parts.notify(principal.user as string, 'twoFactorOn');
  });

  routes.handle(ENDPOINTS.disableTwoFactor, async ({ body, raw, reply, principal }) => {
    await requireTwoFactor(parts, principal);
    const { headers } = await withPassword(raw, reply, principal, (asked) =>
      parts.identity().api.disableTwoFactor({ body: { password: body.password }, headers: asked, returnHeaders: true }),
    );
    relay(reply, headers);
    await parts.revocations.changed();
    await note(parts, raw, principal, 'two-factor disabled', principal.user as string);
    await parts.notify(principal.user as string, 'twoFactorOff');
  });

  routes.handle(ENDPOINTS.getUsage, async ({ raw, principal }) => {
    const { requests, streams } = await parts.traffic(principal, raw.ip);
    const { requestsPerSecond, burst, streams: streamsMax, keys: keysMax } = TIERS[principal.tier as Tier];
    return {
      requests: { perSecond: requestsPerSecond, burst, remaining: Math.min(burst, requests) },
      streams: { open: streams, limit: streamsMax },
      keys: { made: await keys.count(principal.user ?? ''), limit: keysMax },
    };
  });

  routes.list(
    ENDPOINTS.listSessions,
    ({ id }) => id,
    async ({ principal }) => userStore.sessions(requirePerson(principal).user, principal.credential),
  );

  routes.handle(ENDPOINTS.deleteSession, async ({ params, raw, principal }) => {
    const { user } = requirePerson(principal);
    if (!(await userStore.deleteSession(user, params.session)))
      throw new ApiProblem('NOT_FOUND', `Session "${params.session}" not found.`, 'GET /api/v1/account/sessions lists your sessions.');
    await parts.revocations.changed();
    await note(parts, raw, principal, 'session ended', params.session);
  });

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
    const beyond = body.scopes.filter((scope) => !principal.permissions.has(scope));
    if (beyond.length > 0)
      throw new ApiProblem(
        'FORBIDDEN',
        `An API key cannot have scopes that its owner lacks: ${beyond.join(', ')}.`,
        'Remove these scopes.',
      );
    const expiresAt = expiryOf(body.expiresAt, parts.keyDays);
    const most = TIERS[principal.tier as Tier].keys;
    if ((await keys.count(user)) >= most)
      throw new ApiProblem('CONFLICT', `You have ${most} API keys, the limit of your tier.`, 'Revoke one first.');
    const made = await keys.create(user, { name: normalizedName(body.name), scopes: body.scopes, expiresAt });
    await note(parts, raw, principal, 'key made', made.id, { name: made.name, scopes: made.scopes, expiresAt });
    await parts.notify(user, 'keyMade');
    return made;
  });

  routes.handle(ENDPOINTS.getApiKey, async ({ params, principal }) => {
    const found = (await keys.list(requirePerson(principal).user)).find(({ id }) => id === params.key);
    if (!found) throw unknownKey(params.key);
    return found;
  });

  routes.handle(ENDPOINTS.revokeApiKey, async ({ params, raw, principal }) => {
    const { user } = requirePerson(principal);
    if (!(await keys.revoke(user, params.key))) throw unknownKey(params.key);
    await parts.revocations.changed();
    await note(parts, raw, principal, 'key revoked', params.key);
  });
}

/** When a key ends. @throws ApiProblem BAD_REQUEST for a moment that is past, or too far away */
function expiryOf(wanted: number | undefined, { usual, most }: AccountParts['keyDays']): number {
  const now = Date.now();
  if (wanted === undefined) return now + Math.min(usual, most) * DAY_MS;
  if (wanted <= now) throw new ApiProblem('BAD_REQUEST', `${wanted} is in the past.`, 'Give a future time in epoch milliseconds.');
  if (wanted > now + most * DAY_MS)
    throw new ApiProblem(
      'BAD_REQUEST',
      `${wanted} is more than ${most} days in the future.`,
      `Give an earlier time, or raise accounts.keyDaysMax.`,
    );
  return wanted;
}

function unknownKey(key: string): ApiProblem {
  return new ApiProblem('NOT_FOUND', `API key "${key}" not found.`, 'GET /api/v1/account/keys lists your API keys.');
}
