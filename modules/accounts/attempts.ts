import { clientNetwork } from '@millrace/base/client-network';
import type { Principal, ProblemCode } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callAuth, withinSession } from './auth-problems.ts';
import type { Lockout } from './lockout.ts';
import { type AccountParts, headersOf, requireSession } from './request-checks.ts';

/** Problems that count as a failed attempt. */
const FAILURES: ReadonlySet<string> = new Set<ProblemCode>(['INVALID_CREDENTIALS', 'INVALID_CODE', 'INVALID_PASSKEY', 'INVALID_LINK']);

/**
 * Runs `work`, which checks credentials of an account, and counts its failure.
 * @throws ApiProblem LOCKED_OUT after too many failed attempts
 */
export async function attempt<T>(
  lockout: Lockout,
  reply: FastifyReply,
  account: string,
  remote: string,
  work: () => Promise<T>,
): Promise<T> {
  refuseFor(await lockout.begin(account, remote), reply);
  try {
    const result = await work();
    await lockout.withdrawn(account, remote);
    return result;
  } catch (error) {
    if (error instanceof ApiProblem && FAILURES.has(error.code)) await lockout.failed(account, remote);
    else await lockout.withdrawn(account, remote);
    throw error;
  }
}

/**
 * Runs `work`, which checks credentials that do not name their account. Attempts are counted by address, and only after they have failed, because many
 * users may share an address.
 * @throws ApiProblem LOCKED_OUT after too many failed attempts
 */
export async function attemptFrom<T>(
  lockout: Lockout,
  reply: FastifyReply,
  what: string,
  remote: string,
  work: () => Promise<T>,
): Promise<T> {
  const account = `${what} from ${clientNetwork(remote)}`;
  refuseFor(await lockout.waitMs(account, remote), reply);
  try {
    return await work();
  } catch (error) {
    if (error instanceof ApiProblem && FAILURES.has(error.code)) await lockout.failedAt(account, remote);
    throw error;
  }
}

/**
 * Calls better-auth to check the password or code of a user that is signed in. Failed attempts count as at sign-in.
 * @param call gets the headers for better-auth
 * @throws ApiProblem INCORRECT_PASSWORD, INCORRECT_CODE, LOCKED_OUT after too many failed attempts, FORBIDDEN without a session
 */
export async function confirmCredential<T>(
  { lockout }: AccountParts,
  raw: FastifyRequest,
  reply: FastifyReply,
  principal: Principal,
  call: (headers: Headers) => Promise<T>,
): Promise<T> {
  const { user } = requireSession(principal);
  return attempt(lockout, reply, user, raw.ip, () => callAuth(() => call(headersOf(raw)))).catch((error: unknown) => {
    throw withinSession(error);
  });
}

/** @throws ApiProblem LOCKED_OUT when `waitMs` is not 0 */
export function refuseFor(waitMs: number, reply: FastifyReply): void {
  if (waitMs === 0) return;
  const seconds = Math.ceil(waitMs / 1_000);
  void reply.header('retry-after', seconds);
  throw new ApiProblem('LOCKED_OUT', `Too many failed attempts. The next attempt is accepted in ${seconds} s.`, 'Wait, then try again.');
}
