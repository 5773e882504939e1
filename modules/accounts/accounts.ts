import type { InstrumentId, Permission, Principal } from '@millrace/contracts';
import { type AuditEvent, type Identify, MemoryRateLimiter, type Routes, type TrafficOf } from '@millrace/http';
import type { ZoneHost } from '@millrace/kernel';
import type { Projection } from '@millrace/log';
import type { FanOut } from '@millrace/redis';
import type { Hub, InitialEvent } from '@millrace/streams';
import type { Zones } from '@millrace/topics';
import { AccountRecords } from './account-records.ts';
import type { KeyDays } from './api-key-expiry.ts';
import { ApiKeys } from './api-keys.ts';
import { AuditLog } from './audit.ts';
import { AuditedOperations } from './audited-operations.ts';
import { type IdentificationSettings, revocationsFor } from './identification.ts';
import { createIdentity, type Identity } from './identity.ts';
import { Lockout } from './lockout.ts';
import type { Mailer } from './mail.ts';
import { OwnAccounts } from './own-account.ts';
import { passwordsWith } from './passwords.ts';
import { Principals } from './principals.ts';
import type { AccountParts } from './request-checks.ts';
import { accountsRoutes } from './routes.ts';
import { signInOptionsRoute } from './sign-in-options.ts';
import type { Provider } from './sign-in-providers.ts';
import { snapshotWorker } from './snapshots.ts';
import { StartedIdentity } from './started-identity.ts';
import { consumeCode } from './used-codes.ts';
import { UserNames } from './user-names.ts';
import { UserStore } from './user-store.ts';
import { tenantChannel } from './user-stream.ts';
import type { AccountCommand, AccountState } from './zone.ts';

export interface AccountSettings extends IdentificationSettings {
  readonly mailer: Mailer | null;
  readonly providers: readonly Provider[];
  readonly isOpen: boolean;
  readonly keyDays: KeyDays;
  /** Id of this server among those that share the tables. Null when no other server uses them. */
  readonly server: string | null;
  /** Zones of accounts. */
  readonly zones: Zones<AccountState, AccountCommand>;
  /** Zone host of the accounts. */
  readonly host: ZoneHost;
  readonly hub: Hub;
  /** Publishes to channels on all servers of the installation. */
  readonly feed: Pick<FanOut, 'publish'>;
  /** Ids of all instruments, for the first snapshot of a user. */
  readonly instruments: () => Iterable<InstrumentId>;
}

/** Users, tenants and keys of an installation. */
export interface Accounts {
  identify: Identify;
  /** Refuses a principal that a gateway vouched for and that has been revoked since. @throws ApiProblem */
  requireNotRevoked(principal: Principal): void;
  /** Whether a user has a permission now. Rejects while the database is unavailable. */
  may(user: string, permission: Permission): Promise<boolean>;
  register(routes: Routes, traffic: TrafficOf): void;
  /** Builds the snapshots of users that the log of their zones requests. */
  readonly worker: Projection;
  /** Initial events of the private channel of a user. */
  events(user: string): InitialEvent[];
  /** Appends an action of an operator to the audit log. Resolves when its entry is stored, or cannot be stored now. */
  onAuditEvent(event: AuditEvent): Promise<void>;
  /** Stores audit entries that could not be stored before. */
  storeAuditEntries(): Promise<void>;
  deleteExpiredSessions(): Promise<void>;
  /** Starts it. Call it when the tables exist. @param baseUrl address of the server for browsers */
  begin(baseUrl: string): Promise<void>;
  close(): Promise<void>;
  /** A link to sign up as the first administrator. Null when a user exists. It replaces an earlier link. */
  ownerLink(): Promise<string | null>;
}

/** Opens the accounts of an installation. Until `begin`, requests about users are refused. */
export function openAccounts(settings: AccountSettings): Accounts {
  const { database, server, host, zones, hub, instruments, onFailure } = settings;
  const started = new StartedIdentity();
  const parts = partsOf(settings, started);
  const { userStore, names, principals, revocations, operations } = parts;
  const records = new AccountRecords(database, server);
  const own = new OwnAccounts({ zones, hub, records, isShared: settings.isShared, onFailure });
  return {
    identify: principals.identify,
    requireNotRevoked: (principal) => principals.requireNotRevoked(principal),
    may: (user, permission) => principals.may(user, permission),
    worker: snapshotWorker({ database, server, host, zones, userStore, records, instruments }),
    events: (user) => own.events(user),
    register: (routes, traffic) => {
      signInOptionsRoute(routes, settings, () => started.knownBaseUrl);
      accountsRoutes(routes, { ...parts, traffic });
      own.register(routes);
    },
    onAuditEvent: (event) => operations.append(event),
    storeAuditEntries: () => operations.storePending(),
    deleteExpiredSessions: () => userStore.deleteExpiredSessions(),
    begin: async (baseUrl) => {
      await userStore.createHomeTenant();
      await names.completeAll();
      started.start(await identityOf(settings, parts, own, baseUrl), baseUrl);
      await revocations.begin();
    },
    close: async () => {
      revocations.close();
      await operations.close();
    },
    ownerLink: async () => {
      const token = await userStore.inviteFirstOwner();
      return token === null ? null : `${started.baseUrl}/sign-up?invitation=${token}`;
    },
  };
}

/** Dependencies of the routes, except for the traffic, which the HTTP server counts. */
type ServerParts = Omit<AccountParts, 'traffic'>;

function partsOf(settings: AccountSettings, started: StartedIdentity): ServerParts {
  const { database, clock, twoFactorRequired, guests, mailer, isOpen, keyDays, providers, feed, onFailure } = settings;
  const userStore = new UserStore(database);
  const keys = new ApiKeys(database, clock, twoFactorRequired);
  const identity = () => started.identity;
  const revocations = revocationsFor(settings, () => principals);
  const principals: Principals = new Principals({
    identity,
    keys,
    userStore,
    clock,
    issuer: () => started.baseUrl,
    guests,
    twoFactorRequired,
    revocations,
    onFailure,
  });
  const audit = new AuditLog(database, (tenant, line) => feed.publish(tenantChannel(tenant), 'audited', line));
  return {
    identity,
    baseUrl: () => started.baseUrl,
    database,
    userStore,
    names: new UserNames(database),
    keys,
    audit,
    operations: new AuditedOperations(audit, onFailure),
    principals,
    revocations,
    lockout: new Lockout(database, clock),
    consumeCode: (user, code) => consumeCode(database, user, code),
    mailer,
    isOpen,
    keyDays,
    limiter: new MemoryRateLimiter(() => clock.elapsed()),
    providers: providers.map(({ id }) => id),
    notify: async (id, notice) => {
      const user = mailer && (await userStore.user(id));
      if (user) mailer.send({ to: user.email, kind: notice, link: `${started.baseUrl}/account` });
    },
  };
}

async function identityOf(
  { database, secret, sessionHours, mailer, providers, isOpen, onFailure }: AccountSettings,
  { userStore, revocations, notify }: ServerParts,
  own: OwnAccounts,
  baseUrl: string,
): Promise<Identity> {
  return createIdentity({
    database,
    secret: await secret('identity'),
    passwords: passwordsWith(await secret('password-pepper')),
    sessionHours,
    baseUrl,
    mailer,
    providers,
    isOpen,
    onCreated: (user) => {
      own.status(user).catch((error) => onFailure('an account cannot be created yet; the next request of its user creates it', error));
    },
    current: userStore,
    onReset: async (user) => {
      await revocations.changed();
      notify(user, 'password').catch((error) => onFailure('a user could not be notified of a new password', error));
    },
    onFailure,
  });
}
