import { HOME_TENANT, normalizedName, type SignInStatus } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callAuth, requireStrong } from './auth-problems.ts';
import { joining } from './new-users.ts';
import { type AccountParts, headersOf, note, relay } from './request-checks.ts';
import { signIn } from './sign-in.ts';
import type { InvitationGrant } from './user-store.ts';

interface SignUpRequest {
  readonly name: string;
  readonly email: string;
  readonly password: string;
  readonly invitation?: string;
}

/** Passwords of one address that are refused: to find that out takes a processor tens of milliseconds. */
const WEAK_PASSWORDS = { requestsPerSecond: 0.5, burst: 20 };

/** Makes a user. What costs little is looked at first: who may not sign up learns that before anything is computed. */
export async function signUp(parts: AccountParts, body: SignUpRequest, raw: FastifyRequest, reply: FastifyReply): Promise<SignInStatus> {
  const { userStore } = parts;
  const email = body.email.toLowerCase();
  const name = normalizedName(body.name);
  const offered = body.invitation === undefined ? null : await userStore.validInvitation(body.invitation, email);
  if (body.invitation !== undefined && !offered) throw badInvitation();
  if (!offered && !parts.isOpen)
    throw new ApiProblem('FORBIDDEN', 'Sign-up is by invitation only.', 'Ask an administrator for an invitation link.');
  await parts.names.requireFree(offered?.tenant ?? HOME_TENANT, name);
  if (parts.limiter.take(raw.ip, WEAK_PASSWORDS, 0).remaining < 1)
    throw new ApiProblem('RATE_LIMITED', `Too many weak passwords were tried from ${raw.ip}.`, 'Wait a few seconds, then try again.');
  await requireStrong(body.password, [name, email]).catch((error) => {
    parts.limiter.take(raw.ip, WEAK_PASSWORDS, 1);
    throw error;
  });
  // Taken only now: whatever is wrong with the rest must not use it up. Somebody else may have been faster.
  const invitation = body.invitation === undefined ? null : await userStore.acceptInvitation(body.invitation, email);
  if (body.invitation !== undefined && !invitation) throw badInvitation();
  // An address that was invited is vouched for by who invited it; of the first user nobody could ask for more than the terminal.
  const verified = invitation !== null && (invitation.email !== null || parts.mailer === null || !(await userStore.hasUsers()));
  const make = () =>
    callAuth(() =>
      parts.identity().api.signUpEmail({ body: { name, email, password: body.password }, headers: headersOf(raw), returnHeaders: true }),
    );
  const { tenant, role } = invitation ?? { tenant: HOME_TENANT, role: 'viewer' as const };
  const made = await joining.run({ tenant, role, verified }, make).catch(async (error) => {
    if (invitation) await userStore.releaseInvitation(invitation);
    throw error;
  });
  if (invitation) await noteJoined(parts, raw, invitation, { id: made.response.user.id, name, email });
  if (made.response.token === null && verified) return signIn(parts, raw, reply, email, body.password);
  relay(reply, made.headers);
  return { status: made.response.token === null ? 'verify-email' : 'signed-in' };
}

/** Where there was a user with that address already, the answer says nothing of it, and the invitation is still good. */
async function noteJoined(
  parts: AccountParts,
  raw: FastifyRequest,
  invitation: InvitationGrant,
  { id, name, email }: { id: string; name: string; email: string },
): Promise<void> {
  const { tenant, role } = invitation;
  if (await parts.userStore.user(id)) await note(parts, raw, { tenant, name, user: id }, 'user joined', email, { role });
  else await parts.userStore.releaseInvitation(invitation);
}

function badInvitation(): ApiProblem {
  return new ApiProblem(
    'INVALID_LINK',
    'The invitation is invalid, was already used, or is for another e-mail address.',
    'Request a new invitation.',
  );
}
