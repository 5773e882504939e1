import { type Account, ENDPOINTS, normalizedName, type Principal, type Role, TIERS, type Tier } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import { confirmCredential } from './attempts.ts';
import { requireStrong } from './auth-problems.ts';
import { type AccountParts, changeAudited, note, relay, requireSession } from './request-checks.ts';
import type { UserStore } from './user-store.ts';

/** Adds the endpoints of one’s own account: its name, password and use of limits. */
export function accountRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore, keys, principals } = parts;

  routes.handle(ENDPOINTS.getAccount, ({ principal }) => accountOf(userStore, principal));

  routes.handle(ENDPOINTS.updateAccount, async ({ body, raw, principal }) => {
    const { user } = requireSession(principal);
    const before = await userStore.user(user);
    const name = normalizedName(body.name);
    await parts.names.requireFree(principal.tenant, name, user);
    await changeAudited(
      parts,
      raw,
      { ...principal, name: before?.name ?? principal.name },
      (transaction) => parts.names.change(user, name, transaction),
      () => ({ action: 'name changed', subject: user, detail: { from: before?.name, to: name } }),
    );
    principals.forgetUser(user);
    return accountOf(userStore, principal);
  });

  routes.handle(ENDPOINTS.changePassword, async ({ body, raw, reply, principal }) => {
    const own = await userStore.user(requireSession(principal).user);
    await requireStrong(body.next, [own?.name ?? '', own?.email ?? '']);
    const { headers } = await confirmCredential(parts, raw, reply, principal, (requestHeaders) =>
      parts.identity().api.changePassword({
        body: { currentPassword: body.current, newPassword: body.next, revokeOtherSessions: true },
        headers: requestHeaders,
        returnHeaders: true,
      }),
    );
    relay(reply, headers);
    const keysEnded = body.endKeys ? await keys.revokeAll(principal.user as string) : 0;
    await parts.revocations.changed();
    await note(parts, raw, principal, 'password changed', principal.user as string, { keysEnded });
    await parts.notify(principal.user as string, 'password');
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
}

async function accountOf(userStore: UserStore, principal: Principal): Promise<Account> {
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
}
