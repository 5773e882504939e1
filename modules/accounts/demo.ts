import { ALL_PERMISSIONS, accountsContract, ENDPOINTS, type Endpoint, HOME_TENANT, type Principal, TIERS } from '@millrace/contracts';
import { ApiProblem, type Caller, isLoopbackAddress, isLoopbackHost, type Routes } from '@millrace/http';
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from './password-sign-in.ts';

/** Principal of demo mode: all permissions, without signing in. */
const DEMO: Principal = {
  kind: 'demo',
  user: 'demo',
  name: 'demo',
  tenant: HOME_TENANT,
  role: 'admin',
  tier: 'enterprise',
  permissions: new Set(ALL_PERMISSIONS),
  lacksTwoFactor: false,
  credential: null,
  expiresAt: null,
  version: null,
};

/** Authentication of demo mode: requests of this machine are the owner’s. Others are refused, also those by DNS rebinding (a foreign Host header). */
export async function identifyDemo({ headers, remote }: Caller): Promise<Principal> {
  if (isLoopbackAddress(remote) && isLoopbackHost(headers.host)) return DEMO;
  throw new ApiProblem(
    'FORBIDDEN',
    `Demo mode accepts requests from this machine only. This one came from ${remote} for ${headers.host}.`,
    'Start without --demo, and sign in.',
  );
}

/** Handlers of user endpoints in demo mode: all refuse, because there are no users. */
export function demoRoutes(routes: Routes): void {
  routes.handle(ENDPOINTS.getSignInOptions, () => ({
    demo: true,
    isSignedIn: true,
    signUp: 'invitation' as const,
    mail: false,
    providers: [],
    passkeys: null,
    password: { lengthMin: PASSWORD_LENGTH_MIN, lengthMax: PASSWORD_LENGTH_MAX },
  }));
  routes.handle(ENDPOINTS.getAccount, () => ({
    kind: 'demo' as const,
    user: DEMO.user ?? '',
    name: DEMO.name,
    email: null,
    tenant: DEMO.tenant,
    role: 'admin' as const,
    tier: 'enterprise' as const,
    limits: TIERS.enterprise,
    permissions: [...DEMO.permissions],
    twoFactorEnabled: false,
    twoFactorRequired: false,
  }));
  for (const endpoint of Object.values<Endpoint>(accountsContract.endpoints)) {
    if (endpoint === ENDPOINTS.getSignInOptions || endpoint === ENDPOINTS.getAccount) continue;
    routes.handle(endpoint, () => {
      throw new ApiProblem('CONFLICT', 'Demo mode has no users.', 'Start without --demo.');
    });
  }
}
