import { APIError, type BetterAuthOptions } from 'better-auth';
import { createAuthMiddleware } from 'better-auth/api';

/** Maximum age of a session that may change credentials. */
export const FRESH_S = 15 * 60;
/** Routes of better-auth that check a second factor. */
const SECOND_FACTOR_PATHS: ReadonlySet<string> = new Set([
  '/passkey/verify-authentication',
  '/two-factor/verify-totp',
  '/two-factor/verify-backup-code',
]);
const DISABLE_TWO_FACTOR_PATH = '/two-factor/disable';

/** Columns of sessions that better-auth does not have itself. No request sets them. */
export const SESSION_FIELDS = { twoFactor: { type: 'boolean', required: true, defaultValue: false, input: false } } as const;

type SessionHooks = NonNullable<NonNullable<BetterAuthOptions['databaseHooks']>['session']>;

/** Database hooks that record with each new session whether it was signed in with two-factor authentication. */
export const SESSION_HOOKS: SessionHooks = {
  create: {
    before: async (session, context) => {
      const previous = context?.context.session?.session as { twoFactor?: boolean } | undefined;
      return { data: { ...session, twoFactor: isTwoFactor(context?.path ?? '', previous?.twoFactor === true) } };
    },
  },
};

/**
 * Whether a session that is created at `path` counts as signed in with two-factor authentication. A session that replaces another one, for example after
 * a change of the password, is as strong as that one.
 */
export function isTwoFactor(path: string, wasTwoFactor: boolean): boolean {
  return SECOND_FACTOR_PATHS.has(path) || (path !== DISABLE_TWO_FACTOR_PATH && wasTwoFactor);
}

/** Hook after each call of better-auth: a disabled user gets no session, however the session was created. */
export const refuseDisabledUsers = createAuthMiddleware(async (context) => {
  const created = context.context.newSession;
  if (!created || !(created.user as { disabled?: boolean }).disabled) return;
  await context.context.internalAdapter.deleteSession(created.session.token);
  throw new APIError('FORBIDDEN', { code: 'DISABLED', message: 'The account is disabled.' });
});
