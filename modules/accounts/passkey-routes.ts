import { ENDPOINTS, normalizedName, type Passkey, type SignInStatus } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/platform/http';
import { attemptFrom, refuseFor } from './attempts.ts';
import { asking } from './auth-problems.ts';
import { passkeyOrigin } from './passkeys.ts';
import {
  type AccountParts,
  headersOf,
  note,
  relay,
  requireFresh,
  requirePerson,
  requireSession,
  requireTwoFactor,
} from './request-checks.ts';
import { noteSignIn } from './sign-in.ts';

/** Whose they are is known only once they were verified. */
const SHOWN_PASSKEYS = 'passkeys';
/** More devices than anyone has. */
const PASSKEYS_MAX = 20;

/** Passkeys: made in a browser by someone who signed in lately, and shown instead of a password and a code. */
export function passkeyRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore, lockout, principals } = parts;

  const requirePasskeys = () => {
    const baseUrl = parts.baseUrl();
    if (passkeyOrigin(baseUrl) === null)
      throw new ApiProblem(
        'CONFLICT',
        `Browsers do not allow passkeys at ${baseUrl}.`,
        'Serve Millrace over https under a host name, and set publicUrl to that address.',
      );
  };

  const requireRoom = async (user: string) => {
    if ((await userStore.passkeys(user)).length >= PASSKEYS_MAX)
      throw new ApiProblem('CONFLICT', `You have ${PASSKEYS_MAX} passkeys, the maximum.`, 'Remove one first.');
  };

  routes.handle(ENDPOINTS.startPasskeySignIn, async ({ raw, reply }) => {
    requirePasskeys();
    refuseFor(await lockout.waitMs(`${SHOWN_PASSKEYS} from ${raw.ip}`, raw.ip), reply);
    // Whoever is in already is asked for any passkey, too.
    const headers = headersOf(raw);
    headers.delete('cookie');
    const started = await asking(() => parts.identity().api.generatePasskeyAuthenticationOptions({ headers, returnHeaders: true }));
    relay(reply, started.headers);
    return { options: { ...started.response, userVerification: 'required' } };
  });

  routes.handle(ENDPOINTS.signInWithPasskey, async ({ body, raw, reply }): Promise<SignInStatus> => {
    requirePasskeys();
    const { id, rawId, type, response: signed, clientExtensionResults = {} } = body.credential;
    const { clientDataJSON, authenticatorData, signature } = signed;
    const shown = { id, rawId, type, response: { clientDataJSON, authenticatorData, signature }, clientExtensionResults };
    const { headers, response } = await attemptFrom(lockout, reply, SHOWN_PASSKEYS, raw.ip, () =>
      asking(() =>
        parts.identity().api.verifyPasskeyAuthentication({
          body: { response: shown },
          headers: headersOf(raw),
          returnHeaders: true,
        }),
      ),
    );
    relay(reply, headers);
    await noteSignIn(parts, raw, response.user.id, 'passkey');
    return { status: 'signed-in' };
  });

  routes.list(
    ENDPOINTS.listPasskeys,
    ({ id }) => id,
    ({ principal }) => userStore.passkeys(requirePerson(principal).user),
  );

  routes.handle(ENDPOINTS.startPasskey, async ({ raw, reply, principal }) => {
    const { user } = requireSession(principal);
    requirePasskeys();
    await requireTwoFactor(parts, principal);
    await requireRoom(user);
    const started = await asking(() =>
      parts.identity().api.generatePasskeyRegistrationOptions({ query: {}, headers: headersOf(raw), returnHeaders: true }),
    );
    relay(reply, started.headers);
    return { options: { ...started.response } };
  });

  routes.handle(ENDPOINTS.addPasskey, async ({ body, raw, reply, principal }): Promise<Passkey> => {
    const { user } = requireSession(principal);
    requirePasskeys();
    await requireTwoFactor(parts, principal);
    await requireRoom(user);
    const { headers, response } = await asking(() =>
      parts.identity().api.verifyPasskeyRegistration({
        body: { response: body.credential, name: normalizedName(body.name) },
        headers: headersOf(raw),
        returnHeaders: true,
      }),
    );
    relay(reply, headers);
    principals.forgetUser(user);
    await note(parts, raw, principal, 'passkey added', response.id, { name: normalizedName(body.name) });
    await parts.notify(user, 'passkeyAdded');
    const made = (await userStore.passkeys(user)).find(({ id }) => id === response.id);
    if (!made) throw new Error('a passkey that was kept is not there');
    return made;
  });

  routes.handle(ENDPOINTS.getPasskey, async ({ params, principal }) => {
    const found = (await userStore.passkeys(requirePerson(principal).user)).find(({ id }) => id === params.passkey);
    if (!found) throw unknownPasskey(params.passkey);
    return found;
  });

  routes.handle(ENDPOINTS.deletePasskey, async ({ params, raw, principal }) => {
    const { user } = requireSession(principal);
    await requireTwoFactor(parts, principal);
    await requireFresh(parts, raw);
    if (!(await userStore.deletePasskey(user, params.passkey, principal.credential))) throw unknownPasskey(params.passkey);
    await parts.revocations.changed();
    await note(parts, raw, principal, 'passkey removed', params.passkey);
    await parts.notify(user, 'passkeyRemoved');
  });
}

function unknownPasskey(passkey: string): ApiProblem {
  return new ApiProblem('NOT_FOUND', `Passkey "${passkey}" not found.`, 'GET /api/v1/account/passkeys lists your passkeys.');
}
