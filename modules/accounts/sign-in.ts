import type { SignInStatus } from '@millrace/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { attempt } from './attempts.ts';
import { asking } from './auth-problems.ts';
import { type AccountParts, headersOf, note, relay } from './request-checks.ts';

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
    asking(() => parts.identity().api.signInEmail({ body: { email, password }, headers: headersOf(raw), returnHeaders: true })),
  );
  await lockout.succeeded(email, raw.ip);
  relay(reply, headers);
  if ((response as { twoFactorRedirect?: boolean }).twoFactorRedirect) return { status: 'two-factor' };
  await noteSignIn(parts, raw, response.user.id, 'password');
  return { status: 'signed-in' };
}

export async function noteSignIn(parts: AccountParts, raw: FastifyRequest, id: string, by: string): Promise<void> {
  const user = await parts.userStore.user(id);
  if (user) await note(parts, raw, { tenant: user.tenant, name: user.name, user: id }, 'signed in', user.email, { by });
}
