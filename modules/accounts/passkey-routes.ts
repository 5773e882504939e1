import { ENDPOINTS, normalizedName, type Passkey } from '@millrace/contracts';
import type { Transaction } from '@millrace/database';
import { ApiProblem, type Request, type Routes } from '@millrace/http';
import { callAuth } from './auth-problems.ts';
import { requirePasskeySupport } from './passkeys.ts';
import {
  type AccountParts,
  changeAudited,
  headersOf,
  note,
  relay,
  requireFresh,
  requirePerson,
  requireSession,
  requireTwoFactor,
} from './request-checks.ts';
import type { UserStore } from './user-store.ts';

/** Passkeys of a user. More than the devices that a user has. The trigger `limit_passkeys` has the same number. */
const PASSKEYS_MAX = 20;

/** Adds the endpoints that list, add and remove one’s own passkeys. */
export function passkeyRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore } = parts;

  routes.list(
    ENDPOINTS.listPasskeys,
    ({ id }) => id,
    ({ principal }) => userStore.passkeys(requirePerson(principal).user),
  );

  routes.handle(ENDPOINTS.startPasskey, async ({ raw, reply, principal }) => {
    const { user } = requireSession(principal);
    requirePasskeySupport(parts.baseUrl());
    await requireTwoFactor(parts, principal);
    await requireFewerPasskeys(userStore, user);
    const started = await callAuth(() =>
      parts.identity().api.generatePasskeyRegistrationOptions({ query: {}, headers: headersOf(raw), returnHeaders: true }),
    );
    relay(reply, started.headers);
    return { options: { ...started.response } };
  });

  routes.handle(ENDPOINTS.addPasskey, (request) => addPasskey(parts, request));

  routes.handle(ENDPOINTS.getPasskey, async ({ params, principal }) => {
    const found = (await userStore.passkeys(requirePerson(principal).user)).find(({ id }) => id === params.passkey);
    if (!found) throw unknownPasskey(params.passkey);
    return found;
  });

  routes.handle(ENDPOINTS.deletePasskey, async ({ params, raw, principal }) => {
    const { user } = requireSession(principal);
    await requireTwoFactor(parts, principal);
    await requireFresh(parts, raw);
    const remove = async (transaction: Transaction) => {
      if (!(await userStore.deletePasskey(user, params.passkey, principal.credential, transaction))) throw unknownPasskey(params.passkey);
    };
    await changeAudited(parts, raw, principal, remove, () => ({ action: 'passkey removed', subject: params.passkey }));
    await parts.revocations.changed();
    await parts.notify(user, 'passkeyRemoved');
  });
}

async function addPasskey(parts: AccountParts, { body, raw, reply, principal }: Request<typeof ENDPOINTS.addPasskey>): Promise<Passkey> {
  const { user } = requireSession(principal);
  requirePasskeySupport(parts.baseUrl());
  await requireTwoFactor(parts, principal);
  await requireFewerPasskeys(parts.userStore, user);
  const name = normalizedName(body.name);
  const { headers, response } = await callAuth(() =>
    parts.identity().api.verifyPasskeyRegistration({
      body: { response: body.credential, name },
      headers: headersOf(raw),
      returnHeaders: true,
    }),
  ).catch(async (error: unknown) => {
    // The table refuses another one if other requests have added the last ones meanwhile.
    await requireFewerPasskeys(parts.userStore, user);
    throw error;
  });
  relay(reply, headers);
  parts.principals.forgetUser(user);
  await note(parts, raw, principal, 'passkey added', response.id, { name });
  await parts.notify(user, 'passkeyAdded');
  const added = (await parts.userStore.passkeys(user)).find(({ id }) => id === response.id);
  if (!added) throw new Error('a passkey that was kept is not there');
  return added;
}

/** @throws ApiProblem CONFLICT when the user has the maximum of passkeys */
async function requireFewerPasskeys(userStore: UserStore, user: string): Promise<void> {
  if ((await userStore.passkeys(user)).length >= PASSKEYS_MAX)
    throw new ApiProblem('CONFLICT', `You have ${PASSKEYS_MAX} passkeys, the maximum.`, 'Remove one first.');
}

function unknownPasskey(passkey: string): ApiProblem {
  return new ApiProblem('NOT_FOUND', `Passkey "${passkey}" not found.`, 'GET /api/v1/account/passkeys lists your passkeys.');
}
