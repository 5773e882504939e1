import type { Routes } from '@millrace/http';
import { accountRoutes } from './account-routes.ts';
import { apiKeyRoutes } from './api-key-routes.ts';
import { auditRoutes } from './audit-routes.ts';
import { invitationRoutes } from './invitation-routes.ts';
import { mailLinkRoutes } from './mail-link-routes.ts';
import { passkeyRoutes } from './passkey-routes.ts';
import { passkeySignInRoutes } from './passkey-sign-in-routes.ts';
import { providerRoutes } from './provider-routes.ts';
import type { AccountParts } from './request-checks.ts';
import { sessionRoutes } from './session-routes.ts';
import { signInRoutes } from './sign-in-routes.ts';
import { tenantRoutes } from './tenant-routes.ts';
import { twoFactorRoutes } from './two-factor-routes.ts';
import { userRoutes } from './user-routes.ts';

/** Adds the endpoints of sign-in, of one’s own account, and of tenants. */
export function accountsRoutes(routes: Routes, parts: AccountParts): void {
  signInRoutes(routes, parts);
  passkeySignInRoutes(routes, parts);
  providerRoutes(routes, parts);
  mailLinkRoutes(routes, parts);

  accountRoutes(routes, parts);
  twoFactorRoutes(routes, parts);
  passkeyRoutes(routes, parts);
  sessionRoutes(routes, parts);
  apiKeyRoutes(routes, parts);

  tenantRoutes(routes, parts);
  invitationRoutes(routes, parts);
  userRoutes(routes, parts);
  auditRoutes(routes, parts);
}
