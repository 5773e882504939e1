import { clientNetwork } from '@millrace/base/client-network';
import { HOME_TENANT, normalizedName, type SignInStatus } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callAuth, requireStrong } from './auth-problems.ts';
import { joining } from './joining.ts';
import { type AccountParts, headersOf, note, relay } from './request-checks.ts';
import { signIn } from './sign-in.ts';
import type { InvitationGrant } from './user-store.ts';

interface SignUpRequest {
  readonly name: string;
  readonly email: string;
  readonly password: string;
  readonly invitation?: string;
}

/** Refused passwords per address: the check of one takes tens of milliseconds of a processor. */
const WEAK_PASSWORDS = { requestsPerSecond: 0.5, burst: 20 };

/** Creates a user. Cheap checks come first, so that a request without a valid invitation costs little. */
export async function signUp(parts: AccountParts, body: SignUpRequest, raw: FastifyRequest, reply: FastifyReply): Promise<SignInStatus> {
  const { userStore } = parts;
  const email = body.email.toLowerCase();
  const name = normalizedName(body.name);
  const offered = body.invitation === undefined ? null : await userStore.validInvitation(body.invitation, email);
  if (body.invitation !== undefined && !offered) throw badInvitation();
  if (!offered && !parts.isOpen)
    throw new ApiProblem('FORBIDDEN', 'Sign-up is by invitation only.', 'Ask an administrator for an invitation link.');
  await parts.names.requireFree(offered?.tenant ?? HOME_TENANT, name);
  if (parts.limiter.take(clientNetwork(raw.ip), WEAK_PASSWORDS, 0).remaining < 1)
    throw new ApiProblem('RATE_LIMITED', `Too many weak passwords were tried from ${raw.ip}.`, 'Wait a few seconds, then try again.');
  await requireStrong(body.password, [name, email]).catch((error) => {
    parts.limiter.take(clientNetwork(raw.ip), WEAK_PASSWORDS, 1);
    throw error;
  });
  // Used only now, so that an invalid request does not use the invitation. Another request may have used it first.
  const invitation = body.invitation === undefined ? null : await userStore.acceptInvitation(body.invitation, email);
  if (body.invitation !== undefined && !invitation) throw badInvitation();
  // The address of an invitation counts as verified, and so does that of the first user, who has access to the terminal.
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
  const isNew = await noteJoined(parts, raw, { tenant, role }, { id: made.response.user.id, name, email });
  if (!isNew && invitation) await userStore.releaseInvitation(invitation);
  if (made.response.token === null && verified) return signIn(parts, raw, reply, email, body.password);
  relay(reply, made.headers);
  return { status: made.response.token === null ? 'verify-email' : 'signed-in' };
}

/** @returns false when the address already has a user: the response does not reveal it, and the invitation stays valid */
async function noteJoined(
  parts: AccountParts,
  raw: FastifyRequest,
  { tenant, role }: Pick<InvitationGrant, 'tenant' | 'role'>,
  { id, name, email }: { id: string; name: string; email: string },
): Promise<boolean> {
  if (!(await parts.userStore.user(id))) return false;
  await note(parts, raw, { tenant, name, user: id }, 'user joined', email, { role });
  return true;
}

function badInvitation(): ApiProblem {
  return new ApiProblem(
    'INVALID_LINK',
    'The invitation is invalid, was already used, or is for another e-mail address.',
    'Request a new invitation.',
  );
}
