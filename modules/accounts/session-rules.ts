import { APIError, type BetterAuthOptions } from 'better-auth';
import { createAuthMiddleware } from 'better-auth/api';

/** Maximum age of a session that may change credentials. */
export const FRESH_S = 15 * 60;
/** Error code for a sign-in whose user was changed while the password was verified. It may be repeated with the same password. */
export const USER_CHANGED = 'USER_CHANGED';
const PASSWORD_PATH = '/sign-in/email';
const PASSKEY_PATH = '/passkey/verify-authentication';
/** Routes of better-auth that check a second factor. */
const SECOND_FACTOR_PATHS: ReadonlySet<string> = new Set([PASSKEY_PATH, '/two-factor/verify-totp', '/two-factor/verify-backup-code']);
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

/** What a session may be based on, as it is now. */
export interface CurrentCredentials {
  /** Version of a user, which a new password raises, and other changes too; null for an unknown user. */
  versionOf(user: string): Promise<number | null>;
  /** Whether a passkey exists. @param credential its id in the browser */
  passkeyExists(credential: string): Promise<boolean>;
}

/**
 * Hook after each call of better-auth that refuses new sessions: of a disabled user, however the session was created; and by a password or passkey that
 * may have been replaced or removed while it was verified. That change deleted the sessions of its moment, and this one was created later.
 */
export const refuseSessions = (current: CurrentCredentials) =>
  createAuthMiddleware(async ({ path, body, context }) => {
    const created = context.newSession;
    if (!created) return;
    const { id, disabled, version } = created.user as { id: string; disabled?: boolean; version?: number };
    const isChanged = path === PASSWORD_PATH && (await current.versionOf(id)) !== version;
    const isRemoved = path === PASSKEY_PATH && !(await current.passkeyExists(String(body?.response?.id)));
    if (!disabled && !isChanged && !isRemoved) return;
    await context.internalAdapter.deleteSession(created.session.token);
    if (disabled) throw new APIError('FORBIDDEN', { code: 'DISABLED', message: 'The account is disabled.' });
    throw isRemoved
      ? new APIError('UNAUTHORIZED', { code: 'PASSKEY_NOT_FOUND', message: 'The passkey was removed.' })
      : new APIError('CONFLICT', { code: USER_CHANGED, message: 'The user was changed during the sign-in.' });
  });
