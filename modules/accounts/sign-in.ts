import type { SignInStatus } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import { APIError } from 'better-auth';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { attempt, attemptFrom } from './attempts.ts';
import { callAuth } from './auth-problems.ts';
import type { Identity } from './identity.ts';
import { type AccountParts, headersOf, note, relay } from './request-checks.ts';
import { USER_CHANGED } from './session-rules.ts';

/** Further tries of a sign-in during which its user was changed. */
const TRIES_AGAIN_MAX = 2;
const SIX_DIGITS = /^\d{6}$/;

/** Signs in with e-mail and password. */
export async function signIn(
  parts: AccountParts,
  raw: FastifyRequest,
  reply: FastifyReply,
  email: string,
  password: string,
): Promise<SignInStatus> {
  const { lockout } = parts;
  const { headers, response } = await attempt(lockout, reply, email, raw.ip, () =>
    signInWithPassword(parts.identity(), { email, password }, headersOf(raw)),
  );
  await lockout.succeeded(email, raw.ip);
  relay(reply, headers);
  if ((response as { twoFactorRedirect?: boolean }).twoFactorRedirect) return { status: 'two-factor' };
  await noteSignIn(parts, raw, response.user.id, 'password');
  return { status: 'signed-in' };
}

/** @throws ApiProblem INVALID_CREDENTIALS unless this is the password of the user at the end of the sign-in, too */
export function signInWithPassword(identity: Identity, body: { readonly email: string; readonly password: string }, headers: Headers) {
  const once = () => identity.api.signInEmail({ body, headers, returnHeaders: true });
  const wasChanged = (error: unknown) => error instanceof APIError && error.body?.code === USER_CHANGED;
  const tried = async (triesLeft: number): ReturnType<typeof once> =>
    once().catch((error: unknown) => {
      if (triesLeft > 0 && wasChanged(error)) return tried(triesLeft - 1);
      throw error;
    });
  return callAuth(() => tried(TRIES_AGAIN_MAX));
}

/**
 * Completes a sign-in that needs two-factor authentication.
 * @param code six digits of an authenticator, or a recovery code
 * @throws ApiProblem INVALID_CODE, LOCKED_OUT after too many failed attempts
 */
export async function confirmSignIn(parts: AccountParts, raw: FastifyRequest, reply: FastifyReply, code: string): Promise<SignInStatus> {
  const isTotp = SIX_DIGITS.test(code);
  const { headers, response } = await attemptFrom(parts.lockout, reply, 'two-factor', raw.ip, () =>
    isTotp ? verifyTotp(parts, raw, code) : verifyRecoveryCode(parts, raw, code),
  );
  relay(reply, headers);
  if (response.user) await noteSignIn(parts, raw, response.user.id, isTotp ? 'two-factor code' : 'recovery code');
  return { status: 'signed-in' };
}

function verifyRecoveryCode(parts: AccountParts, raw: FastifyRequest, code: string) {
  return callAuth(() => parts.identity().api.verifyBackupCode({ body: { code }, headers: headersOf(raw), returnHeaders: true }));
}

/** Verifies a code of an authenticator. A code that was used before is refused, although better-auth accepts it. */
async function verifyTotp(parts: AccountParts, raw: FastifyRequest, code: string) {
  const verified = await callAuth(() => parts.identity().api.verifyTOTP({ body: { code }, headers: headersOf(raw), returnHeaders: true }));
  const { user, token } = verified.response;
  if (user && !(await parts.consumeCode(user.id, code))) {
    if (token) await (await parts.identity().$context).internalAdapter.deleteSession(token);
    const found = await parts.userStore.user(user.id);
    if (found) await note(parts, raw, { ...found, user: user.id }, 'code used twice', user.id);
    await parts.notify(user.id, 'codeAgain');
    throw new ApiProblem('INVALID_CODE', 'The code was already used.', 'Wait for the next code.');
  }
  return verified;
}

/** Writes a sign-in to the audit log of the tenant of the user. */
export async function noteSignIn(parts: AccountParts, raw: FastifyRequest, id: string, by: string): Promise<void> {
  const user = await parts.userStore.user(id);
  if (user) await note(parts, raw, { tenant: user.tenant, name: user.name, user: id }, 'signed in', user.email, { by });
}

/**
 * Writes the sign-in of a session that better-auth has just begun to the audit log. Nothing if its response sets no cookie of a session.
 * @param startedAt begin of the request, epoch ms, if it may have created the user, who then has joined
 */
export async function noteNewSession(
  parts: AccountParts,
  raw: FastifyRequest,
  response: Headers,
  by: string,
  startedAt = Number.POSITIVE_INFINITY,
): Promise<void> {
  const cookie = response.getSetCookie().map((line) => line.split(';', 1)[0]);
  const found = await parts
    .identity()
    .api.getSession({ headers: new Headers({ cookie: cookie.join('; ') }), query: { disableRefresh: true } });
  if (!found) return;
  const { id, createdAt } = found.user;
  const user = await parts.userStore.user(id);
  if (user && createdAt.getTime() >= startedAt)
    await note(parts, raw, { ...user, user: id }, 'user joined', user.email, { role: user.role });
  await noteSignIn(parts, raw, id, by);
}
