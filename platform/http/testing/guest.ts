import { HOME_TENANT, type Principal } from '@millrace/contracts';

/** A caller without a credential. */
export const GUEST: Principal = {
  kind: 'anonymous',
  user: null,
  name: 'guest',
  tenant: HOME_TENANT,
  role: null,
  tier: 'free',
  permissions: new Set(),
  lacksTwoFactor: false,
  version: null,
  credential: null,
  expiresAt: null,
};
