import { HOME_TENANT, type Principal, permissionsOf } from '@millrace/contracts';

/** The user of tests of the gateway. */
export const kim: Principal = {
  kind: 'key',
  user: 'kim',
  name: 'Kim',
  tenant: HOME_TENANT,
  role: 'trader',
  tier: 'free',
  permissions: permissionsOf('trader', HOME_TENANT),
  lacksTwoFactor: false,
  version: null,
  credential: 'key-1',
  expiresAt: null,
};
