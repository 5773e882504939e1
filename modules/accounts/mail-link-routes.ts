import { ENDPOINTS, type SignInStatus } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { attemptFrom, refuseFor } from './attempts.ts';
import { badToken, callAuth, requireStrong } from './auth-problems.ts';
import type { Lockout } from './lockout.ts';
import { type AccountParts, headersOf, note, relay } from './request-checks.ts';
import { noteNewSession } from './sign-in.ts';

/** Adds the endpoints that send links by mail and accept them: to verify an e-mail address, and to reset a password. */
export function mailLinkRoutes(routes: Routes, parts: AccountParts): void {
  const { lockout } = parts;

  routes.handle(ENDPOINTS.verifyEmail, async ({ body, raw, reply }): Promise<SignInStatus> => {
    const verified = await callAuth(() =>
      parts.identity().api.verifyEmail({ query: { token: body.token }, headers: headersOf(raw), returnHeaders: true }),
    );
    relay(reply, verified.headers);
    await noteNewSession(parts, raw, verified.headers, 'e-mail verification');
    return { status: 'signed-in' };
  });

  routes.handle(ENDPOINTS.resendVerification, async ({ body, raw, reply }) => {
    const email = body.email.toLowerCase();
    await countMail(lockout, email, raw, reply);
    await ignoreFailure(() => parts.identity().api.sendVerificationEmail({ body: { email } }));
  });

  routes.handle(ENDPOINTS.forgotPassword, async ({ body, raw, reply }) => {
    const email = body.email.toLowerCase();
    await countMail(lockout, email, raw, reply);
    await ignoreFailure(() => parts.identity().api.requestPasswordReset({ body: { email } }));
  });

  routes.handle(ENDPOINTS.resetPassword, ({ body, raw, reply }) =>
    attemptFrom(lockout, reply, 'password reset', raw.ip, async () => {
      const { internalAdapter } = await parts.identity().$context;
      const link = await callAuth(() => internalAdapter.findVerificationValue(`reset-password:${body.token}`));
      if (!link || link.expiresAt < new Date()) throw badToken();
      // Checked before the link is used, because a rejected password must not use it up.
      await requireStrong(body.password, []);
      await callAuth(() => parts.identity().api.resetPassword({ body: { token: body.token, newPassword: body.password } }));
      // The sessions are deleted after the password is set.
      await parts.revocations.changed();
      const user = await parts.userStore.user(link.value);
      if (user) await note(parts, raw, { ...user, user: link.value }, 'password changed', link.value, { by: 'link' });
    }),
  );
}

/** Limits the mails to an address: each request counts as a failed attempt. @throws ApiProblem LOCKED_OUT */
async function countMail(lockout: Lockout, email: string, raw: FastifyRequest, reply: FastifyReply): Promise<void> {
  refuseFor(await lockout.begin(`mail to ${email}`, raw.ip), reply);
  await lockout.failed(`mail to ${email}`, raw.ip);
}

/** Ignores the result and the failure of a call, because neither may reveal whether a user with this address exists. */
async function ignoreFailure(call: () => Promise<unknown>): Promise<void> {
  await call().catch(() => {});
}
