import { clientNetwork } from '@millrace/base/client-network';
import { ENDPOINTS, type SignInStatus } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import { attemptFrom, refuseFor } from './attempts.ts';
import { callAuth } from './auth-problems.ts';
import { requirePasskeySupport } from './passkeys.ts';
import { type AccountParts, headersOf, relay } from './request-checks.ts';
import { noteSignIn } from './sign-in.ts';

/** Failed attempts count under this name, because the user of a passkey is known only after its verification. */
const PASSKEY_ATTEMPTS = 'passkeys';

/** Adds the endpoints that sign in with a passkey instead of a password and a code. */
export function passkeySignInRoutes(routes: Routes, parts: AccountParts): void {
  const { lockout } = parts;

  routes.handle(ENDPOINTS.startPasskeySignIn, async ({ raw, reply }) => {
    requirePasskeySupport(parts.baseUrl());
    refuseFor(await lockout.waitMs(`${PASSKEY_ATTEMPTS} from ${clientNetwork(raw.ip)}`, raw.ip), reply);
    // Without the cookie of a session, better-auth accepts the passkey of any user.
    const headers = headersOf(raw);
    headers.delete('cookie');
    const started = await callAuth(() => parts.identity().api.generatePasskeyAuthenticationOptions({ headers, returnHeaders: true }));
    relay(reply, started.headers);
    return { options: { ...started.response, userVerification: 'required' } };
  });

  routes.handle(ENDPOINTS.signInWithPasskey, async ({ body, raw, reply }): Promise<SignInStatus> => {
    requirePasskeySupport(parts.baseUrl());
    const { id, rawId, type, response: signed, clientExtensionResults = {} } = body.credential;
    const { clientDataJSON, authenticatorData, signature } = signed;
    const credential = { id, rawId, type, response: { clientDataJSON, authenticatorData, signature }, clientExtensionResults };
    const { headers, response } = await attemptFrom(lockout, reply, PASSKEY_ATTEMPTS, raw.ip, () =>
      callAuth(() =>
        parts.identity().api.verifyPasskeyAuthentication({
          body: { response: credential },
          headers: headersOf(raw),
          returnHeaders: true,
        }),
      ),
    );
    relay(reply, headers);
    await noteSignIn(parts, raw, response.user.id, 'passkey');
    return { status: 'signed-in' };
  });
}
