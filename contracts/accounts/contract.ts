import { type ChannelContract, moduleContract } from '../module.ts';
import { AccountsConfig } from './config.ts';
import { ACCOUNT_ENDPOINTS } from './endpoints.ts';
import {
  AccountCreatedNotice,
  AccountSnapshot,
  AccountStatus,
  isUserId,
  SnapshotFailure,
  SnapshotProgress,
  TenantEvent,
} from './events.ts';
import { AuditEntry, isTenantId } from './resources.ts';
import { SIGN_IN_ENDPOINTS } from './sign-in-endpoints.ts';
import { TENANT_ENDPOINTS } from './tenant-endpoints.ts';

/** Alias for the channel of the signed-in user. */
export const OWN_CHANNEL = 'user';

export const ACCOUNT_CHANNELS = {
  users: {
    name: 'users:{user}',
    delivery: 'lossless',
    access: 'account:read',
    carries: 'events of your account, named by `UserEvent`; `user` is an alias; channels of other users are not accessible',
    events: {
      account: AccountStatus,
      'account.created': AccountCreatedNotice,
      'snapshots.progressed': SnapshotProgress,
      'snapshots.generated': AccountSnapshot,
      'snapshots.failed': SnapshotFailure,
    },
    parameters: { user: isUserId },
    alias: OWN_CHANNEL,
  },
  tenants: {
    name: 'tenants:{tenant}',
    delivery: 'lossless',
    access: 'tenant:read',
    carries: 'events of your tenant: each audit log entry (`audited`, `AuditEntry`) and each account event (`decided`, `TenantEvent`)',
    events: { audited: AuditEntry, decided: TenantEvent },
    parameters: { tenant: isTenantId },
  },
} as const satisfies Record<string, ChannelContract>;

export const accountsContract = moduleContract({
  name: 'accounts',
  reads: 'database',
  endpoints: { ...SIGN_IN_ENDPOINTS, ...ACCOUNT_ENDPOINTS, ...TENANT_ENDPOINTS },
  channels: ACCOUNT_CHANNELS,
  topics: { accounts: { folder: 'accounts' } },
  config: { accounts: AccountsConfig },
});
