import { type Static, Type } from 'typebox';
import { DateTime } from '../instant.ts';
import { InstrumentId } from '../market/instrument.ts';
import { RoleName, TenantId, TierLimits } from './resources.ts';

/*
 * Events of an account, and the events of its stream.
 */

/** Initial data of a user. Generated once, and again on request. */
export const AccountSnapshot = Type.Object(
  {
    request: Type.String(),
    revision: Type.Integer({
      description: 'Number of the snapshot among those of this user, over all servers. A higher revision is newer.',
    }),
    generatedAt: DateTime('Time of the generation'),
    profile: Type.Object({ name: Type.String(), email: Type.String(), tenant: TenantId, role: RoleName }),
    limits: TierLimits,
    watchlist: Type.Array(InstrumentId, { description: 'Initial instruments of the watchlist.' }),
  },
  { $id: 'AccountSnapshot' },
);
export type AccountSnapshot = Static<typeof AccountSnapshot>;

export const SnapshotProgress = Type.Object({
  request: Type.String(),
  step: Type.String({ description: 'Last completed step.' }),
  done: Type.Integer({ description: 'Number of completed steps.' }),
  of: Type.Integer(),
});
export type SnapshotProgress = Static<typeof SnapshotProgress>;

/** State of an account: its snapshot, and the progress of a snapshot that is being generated. */
export const AccountStatus = Type.Object(
  {
    user: Type.String(),
    createdAt: Type.Union([DateTime('Creation time'), Type.Null()], { description: 'Null until this server knows it.' }),
    snapshot: Type.Union([AccountSnapshot, Type.Null()]),
    underWay: Type.Union([SnapshotProgress, Type.Null()]),
  },
  { $id: 'AccountStatus' },
);
export type AccountStatus = Static<typeof AccountStatus>;

/** Data of the events of the stream of a user that are not resources. */
export const AccountCreatedNotice = Type.Object(
  { user: Type.String(), tenant: TenantId, createdAt: DateTime('Creation time') },
  { $id: 'AccountCreatedNotice', description: 'The account was created.' },
);
export const SnapshotFailure = Type.Object(
  { request: Type.String(), reason: Type.String() },
  { $id: 'SnapshotFailure', description: 'A snapshot could not be generated.' },
);

/** All events of an account zone. */
export type AccountEvent =
  | { type: 'AccountCreated'; user: string; tenant: string; at: number }
  /** The log of this server was behind the relational database: the account is restored from the database. */
  | { type: 'AccountRestored'; user: string; tenant: string; createdAt: number; snapshot: AccountSnapshot | null }
  | { type: 'AccountSnapshotRequested'; request: string; at: number }
  | { type: 'AccountSnapshotProgressed'; progress: SnapshotProgress }
  /** The snapshot may be the one of a later request. */
  | { type: 'AccountSnapshotGenerated'; request: string; snapshot: AccountSnapshot }
  | { type: 'AccountSnapshotFailed'; request: string; reason: string };

/** An event of the account zone of a user, as the stream of the tenant shows it: without its data. */
export const TenantEvent = Type.Object(
  {
    id: Type.String({ description: 'Event id: zone, epoch and seq.' }),
    type: Type.String({ examples: ['AccountSnapshotGenerated'] }),
    zone: Type.String({ description: 'Zone: its kind and its key, which is the user id.' }),
    seq: Type.Integer(),
    occurredAt: DateTime('Time of the event'),
    correlation: Type.Optional(Type.String({ description: 'Trace id of the request that caused it.' })),
  },
  { $id: 'TenantEvent' },
);
export type TenantEvent = Static<typeof TenantEvent>;

/** Events of the stream of a user, with their meanings. */
export const USER_EVENTS = {
  account: 'state of the account, sent first to each new subscriber',
  'account.created': 'the account was created',
  'snapshots.progressed': 'a step of a snapshot was completed',
  'snapshots.generated': 'a snapshot was generated',
  'snapshots.failed': 'a snapshot could not be generated',
} as const;
export type UserEvent = keyof typeof USER_EVENTS;

const USER_ID = /^[A-Za-z0-9_-]{1,64}$/;
/** True if a text has the form of a user id. */
export const isUserId = (text: string) => USER_ID.test(text);
