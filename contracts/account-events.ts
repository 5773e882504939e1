import { type Static, Type } from 'typebox';
import { RoleName, TenantId, TierLimits } from './account.ts';
import { InstrumentId } from './instrument.ts';

/*
 * What happens to an account, and what its own stream tells of it.
 */

/** What a user begins with, put together once and again when asked for. */
export const AccountSnapshot = Type.Object(
  {
    request: Type.String(),
    revision: Type.Integer({
      description: 'Counts the snapshots of this user, over all servers: of two the one with the higher revision is newer.',
    }),
    generatedAt: Type.Integer({ description: 'Epoch ms.' }),
    profile: Type.Object({ name: Type.String(), email: Type.String(), tenant: TenantId, role: RoleName }),
    limits: TierLimits,
    watchlist: Type.Array(InstrumentId, { description: 'Instruments to begin with.' }),
  },
  { $id: 'AccountSnapshot' },
);
export type AccountSnapshot = Static<typeof AccountSnapshot>;

export const SnapshotProgress = Type.Object({
  request: Type.String(),
  step: Type.String({ description: 'What was done last.' }),
  done: Type.Integer({ description: 'Steps so far.' }),
  of: Type.Integer(),
});
export type SnapshotProgress = Static<typeof SnapshotProgress>;

/** How an account stands: its snapshot, and the one that is under way. */
export const AccountStatus = Type.Object(
  {
    user: Type.String(),
    createdAt: Type.Integer({ description: 'Epoch ms; 0 until it is known here.' }),
    snapshot: Type.Union([AccountSnapshot, Type.Null()]),
    underWay: Type.Union([SnapshotProgress, Type.Null()]),
  },
  { $id: 'AccountStatus' },
);
export type AccountStatus = Static<typeof AccountStatus>;

/** Everything that can have happened to an account. */
export type AccountEvent =
  | { type: 'AccountCreated'; user: string; tenant: string; at: number }
  /** The log of this server was behind the record in the relational store: the account is what that says. */
  | { type: 'AccountRestored'; user: string; tenant: string; createdAt: number; snapshot: AccountSnapshot | null }
  | { type: 'AccountSnapshotRequested'; request: string; at: number }
  | { type: 'AccountSnapshotProgressed'; progress: SnapshotProgress }
  /** The snapshot may be one that was made for a later request. */
  | { type: 'AccountSnapshotGenerated'; request: string; snapshot: AccountSnapshot }
  | { type: 'AccountSnapshotFailed'; request: string; reason: string };

/** An event of a zone that belongs to a tenant’s user, as the tenant’s own feed tells of it: that it happened, not what is in it. */
export const TenantEvent = Type.Object(
  {
    id: Type.String({ description: 'The event’s: zone, epoch and seq.' }),
    type: Type.String({ examples: ['AccountSnapshotGenerated'] }),
    zone: Type.String({ description: 'Its kind and key, which is the user.' }),
    seq: Type.Integer(),
    time: Type.Integer({ description: 'Epoch ms.' }),
    correlation: Type.Optional(Type.String({ description: 'The trace of the request it came of.' })),
  },
  { $id: 'TenantEvent' },
);
export type TenantEvent = Static<typeof TenantEvent>;

/** What a user’s own stream calls it. */
export const USER_EVENTS = {
  account: 'the state of the account, sent first to each new subscriber',
  'account.created': 'the account is there',
  'snapshots.progressed': 'a step of a snapshot is done',
  'snapshots.generated': 'a snapshot is there',
  'snapshots.failed': 'a snapshot could not be put together',
} as const;
export type UserEvent = keyof typeof USER_EVENTS;

const USER_ID = /^[A-Za-z0-9_-]{1,64}$/;
export const isUserId = (text: string) => USER_ID.test(text);
