import { ENDPOINTS, type SignInStatus, type SigningKeys } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/platform/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { attemptFrom, refuseFor } from './attempts.ts';
import { asking, badToken, requireStrong } from './auth-problems.ts';
import { ACCESS_TOKEN_S } from './identity.ts';
import { type AccountParts, headersOf, note, relay, requireSession } from './request-checks.ts';
import { noteSignIn, signIn } from './sign-in.ts';
import { signUp } from './sign-up.ts';

const SIX_DIGITS = /^\d{6}$/;

/** Becoming a user, coming in, going out, and what is needed when one cannot. */
export function signInRoutes(routes: Routes, parts: AccountParts): void {
  const { userStore, lockout } = parts;

  routes.handle(ENDPOINTS.signUp, ({ body, raw, reply }) =>
    attemptFrom(lockout, reply, 'sign-up', raw.ip, () => signUp(parts, body, raw, reply)),
  );

  routes.handle(ENDPOINTS.signIn, ({ body, raw, reply }) => signIn(parts, raw, reply, body.email.toLowerCase(), body.password));

  routes.handle(ENDPOINTS.verifyTwoFactor, async ({ body, raw, reply }): Promise<SignInStatus> => {
    const headers = headersOf(raw);
    const isTotp = SIX_DIGITS.test(body.code);
    const verify = async () => {
      const verified = await asking(() =>
        isTotp
          ? parts.identity().api.verifyTOTP({ body: { code: body.code }, headers, returnHeaders: true })
          : parts.identity().api.verifyBackupCode({ body: { code: body.code }, headers, returnHeaders: true }),
      );
      const { user, token } = verified.response;
      if (isTotp && user && !(await parts.consumeCode(user.id, body.code))) {
        if (token) await (await parts.identity().$context).internalAdapter.deleteSession(token);
        await userStore.user(user.id).then((found) => found && note(parts, raw, { ...found, user: user.id }, 'code used twice', user.id));
        await parts.notify(user.id, 'codeAgain');
        throw new ApiProblem('INVALID_CODE', 'The code was already used.', 'Wait for the next code.');
      }
      return verified;
    };
    const verified = await attemptFrom(lockout, reply, 'two-factor', raw.ip, verify);
    relay(reply, verified.headers);
    const { user } = verified.response;
    if (user) await noteSignIn(parts, raw, user.id, isTotp ? 'two-factor code' : 'recovery code');
    return { status: 'signed-in' };
  });

  const requireProvider = (id: string) => {
    if (parts.providers.includes(id)) return;
    const known = parts.providers.length === 0 ? 'There are none; see accounts.providers.' : `There are ${parts.providers.join(', ')}.`;
    throw new ApiProblem('NOT_FOUND', `Unknown sign-in provider "${id}".`, known);
  };

  routes.handle(ENDPOINTS.startProvider, async ({ params, raw, reply }) => {
    requireProvider(params.provider);
    const started = await asking(() =>
      parts.identity().api.signInSocial({
        body: {
          provider: params.provider,
          callbackURL: parts.baseUrl(),
          errorCallbackURL: `${parts.baseUrl()}/sign-in`,
          disableRedirect: true,
        },
        headers: headersOf(raw),
        returnHeaders: true,
      }),
    );
    relay(reply, started.headers);
    return { url: started.response.url ?? parts.baseUrl() };
  });

  routes.stream(ENDPOINTS.finishProvider, async ({ params, raw, reply }) => {
    requireProvider(params.provider);
    const answer = await parts.identity().handler(new Request(parts.baseUrl() + raw.url, { headers: headersOf(raw) }));
    await parts.names.completeAll();
    relay(reply, answer.headers);
    return reply.redirect(
      answer.headers.get('location') ?? `${parts.baseUrl()}/sign-in?error=${answer.status === 403 ? 'not_allowed' : 'failed'}`,
    );
  });

  routes.handle(ENDPOINTS.signOut, async ({ raw, reply, principal }) => {
    const { headers } = await asking(() => parts.identity().api.signOut({ headers: headersOf(raw), returnHeaders: true }));
    relay(reply, headers);
    if (principal.kind === 'session') await parts.revocations.changed();
  });

  routes.handle(ENDPOINTS.verifyEmail, async ({ body, raw, reply }): Promise<SignInStatus> => {
    const verified = await asking(() =>
      parts.identity().api.verifyEmail({ query: { token: body.token }, headers: headersOf(raw), returnHeaders: true }),
    );
    relay(reply, verified.headers);
    return { status: 'signed-in' };
  });

  /** Nobody’s mailbox is filled by asking again and again. */
  const countMail = async (email: string, raw: FastifyRequest, reply: FastifyReply) => {
    refuseFor(await lockout.begin(`mail to ${email}`, raw.ip), reply);
    await lockout.failed(`mail to ${email}`, raw.ip);
  };

  routes.handle(ENDPOINTS.resendVerification, async ({ body, raw, reply }) => {
    const email = body.email.toLowerCase();
    await countMail(email, raw, reply);
    await quietly(() => parts.identity().api.sendVerificationEmail({ body: { email } }));
  });

  routes.handle(ENDPOINTS.forgotPassword, async ({ body, raw, reply }) => {
    const email = body.email.toLowerCase();
    await countMail(email, raw, reply);
    await quietly(() => parts.identity().api.requestPasswordReset({ body: { email } }));
  });

  routes.handle(ENDPOINTS.resetPassword, ({ body, raw, reply }) =>
    attemptFrom(lockout, reply, 'password reset', raw.ip, async () => {
      const { internalAdapter } = await parts.identity().$context;
      const link = await asking(() => internalAdapter.findVerificationValue(`reset-password:${body.token}`));
      if (!link || link.expiresAt < new Date()) throw badToken();
      // Before the link is used: whatever is wrong with the password must not use it up.
      await requireStrong(body.password, []);
      await asking(() => parts.identity().api.resetPassword({ body: { token: body.token, newPassword: body.password } }));
    }),
  );

  routes.handle(ENDPOINTS.getSigningKeys, async () => (await asking(() => parts.identity().api.getJwks())) as SigningKeys);

  routes.handle(ENDPOINTS.createAccessToken, async ({ raw, principal }) => {
    requireSession(principal);
    const { token } = await asking(() => parts.identity().api.getToken({ headers: headersOf(raw) }));
    return { accessToken: token, expiresAt: Date.now() + ACCESS_TOKEN_S * 1_000 };
  });
}

/** What is asked here must not tell whether there is such a user: neither by what it answers nor by failing. */
async function quietly(call: () => Promise<unknown>): Promise<void> {
  await call().catch(() => {});
}
