import { HOME_TENANT, nameKeyOf } from '@millrace/contracts';
import { APIError, type BetterAuthOptions } from 'better-auth';
import { joining } from './joining.ts';

/** Columns of users that better-auth does not have itself. No request sets them. */
export const USER_FIELDS = {
  tenant: { type: 'string', required: true, defaultValue: HOME_TENANT, input: false },
  role: { type: 'string', required: true, defaultValue: 'viewer', input: false },
  disabled: { type: 'boolean', required: true, defaultValue: false, input: false },
  nameKey: { type: 'string', required: false, input: false },
  version: { type: 'number', required: true, defaultValue: 1, input: false },
} as const;

/**
 * Database hooks that put a new user into its tenant.
 * @param isOpen whether a user without an invitation may join the home tenant
 */
export function userHooks(
  isOpen: boolean,
  onCreated: (user: string) => void,
): NonNullable<NonNullable<BetterAuthOptions['databaseHooks']>['user']> {
  return {
    create: {
      before: async (user) => {
        const membership = joining.getStore();
        if (!membership && !isOpen) throw new APIError('FORBIDDEN', { code: 'SIGN_UP_CLOSED', message: 'Sign-up is by invitation.' });
        return {
          data: {
            ...user,
            ...(membership ? { tenant: membership.tenant, role: membership.role, nameKey: nameKeyOf(user.name) } : {}),
            ...(membership?.verified && { emailVerified: true }),
          },
        };
      },
      after: async ({ id }) => onCreated(id),
    },
  };
}
