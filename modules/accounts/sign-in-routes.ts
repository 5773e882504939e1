import { ENDPOINTS, type SigningKeys } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import { tokenExpiry } from './access-tokens.ts';
import { attemptFrom } from './attempts.ts';
import { callAuth } from './auth-problems.ts';
import { type AccountParts, headersOf, relay, requireSession } from './request-checks.ts';
import { confirmSignIn, signIn } from './sign-in.ts';
import { signUp } from './sign-up.ts';

/** Adds the endpoints that sign up, sign in with a password, sign out, and create access tokens. */
export function signInRoutes(routes: Routes, parts: AccountParts): void {
  const { lockout } = parts;

  routes.handle(ENDPOINTS.signUp, ({ body, raw, reply }) =>
    attemptFrom(lockout, reply, 'sign-up', raw.ip, () => signUp(parts, body, raw, reply)),
  );

  routes.handle(ENDPOINTS.signIn, ({ body, raw, reply }) => signIn(parts, raw, reply, body.email.toLowerCase(), body.password));

  routes.handle(ENDPOINTS.verifyTwoFactor, ({ body, raw, reply }) => confirmSignIn(parts, raw, reply, body.code));

  routes.handle(ENDPOINTS.signOut, async ({ raw, reply, principal }) => {
    const { headers } = await callAuth(() => parts.identity().api.signOut({ headers: headersOf(raw), returnHeaders: true }));
    relay(reply, headers);
    // A request with a token or a key may have the cookie of a session too. An anonymous one has no session to end.
    if (principal.user !== null) await parts.revocations.changed();
  });

  routes.handle(ENDPOINTS.getSigningKeys, async () => (await callAuth(() => parts.identity().api.getJwks())) as SigningKeys);

  routes.handle(ENDPOINTS.createAccessToken, async ({ raw, principal }) => {
    requireSession(principal);
    const { token } = await callAuth(() => parts.identity().api.getToken({ headers: headersOf(raw) }));
    return { accessToken: token, expiresAt: tokenExpiry(Date.now(), principal.expiresAt ?? Number.POSITIVE_INFINITY) };
  });
}
