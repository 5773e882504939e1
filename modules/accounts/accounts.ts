import { ENDPOINTS, type InstrumentId, type Permission, type Principal, type SignInOptions } from '@millrace/contracts';
import type { ZoneHost } from '@millrace/kernel';
import { ApiProblem, type AuditEvent, type Identify, MemoryRateLimiter, type Routes, type TrafficOf } from '@millrace/platform/http';
import type { Projection } from '@millrace/platform/log';
import type { FanOut } from '@millrace/platform/redis';
import type { Hub, InitialEvent } from '@millrace/platform/streams';
import type { Zones } from '@millrace/platform/topics';
import { AccountRecords } from './account-records.ts';
import { accountRoutes } from './account-routes.ts';
import type { KeyDays } from './api-key-expiry.ts';
import { apiKeyRoutes } from './api-key-routes.ts';
import { ApiKeys } from './api-keys.ts';
import { AuditLog } from './audit.ts';
import { auditRoutes } from './audit-routes.ts';
import { type IdentificationSettings, revocationsFor } from './identification.ts';
import { createIdentity, type Identity, PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, type Provider } from './identity.ts';
import { invitationRoutes } from './invitation-routes.ts';
import { Lockout } from './lockout.ts';
import type { Mailer, Notice } from './mail.ts';
import { mailLinkRoutes } from './mail-link-routes.ts';
import { OwnAccounts } from './own-account.ts';
import { passkeyRoutes } from './passkey-routes.ts';
import { passkeySignInRoutes } from './passkey-sign-in-routes.ts';
import { passkeyOrigin } from './passkeys.ts';
import { passwordsWith } from './passwords.ts';
import { Principals } from './principals.ts';
import { providerRoutes } from './provider-routes.ts';
import type { AccountParts } from './request-checks.ts';
import { sessionRoutes } from './session-routes.ts';
import { signInRoutes } from './sign-in-routes.ts';
import { snapshotWorker } from './snapshots.ts';
import { tenantRoutes } from './tenant-routes.ts';
import { twoFactorRoutes } from './two-factor-routes.ts';
import { consumeCode } from './used-codes.ts';
import { UserNames } from './user-names.ts';
import { userRoutes } from './user-routes.ts';
import { UserStore } from './user-store.ts';
import { tenantChannel } from './user-stream.ts';
import type { AccountCommand, AccountState } from './zone.ts';

export interface AccountSettings extends IdentificationSettings {
  readonly mailer: Mailer | null;
  readonly providers: readonly Provider[];
  readonly isOpen: boolean;
  readonly keyDays: KeyDays;
  /** What this server is called where several share the tables; null where it has them alone. */
  readonly server: string | null;
  /** Zones of accounts. */
  readonly zones: Zones<AccountState, AccountCommand>;
  /** Host of these zones. */
  readonly host: ZoneHost;
  readonly hub: Hub;
  /** Tells watchers at every server of the installation. */
  readonly feed: Pick<FanOut, 'publish'>;
  /** Instruments there are, for a user to begin with. */
  readonly instruments: () => Iterable<InstrumentId>;
}

/** Users, tenants and keys of an installation. */
export interface Accounts {
  identify: Identify;
  /** Refuses who was revoked, where a gateway says who asks. */
  requireNotRevoked(principal: Principal): void;
  /** Whether a user may do something now; rejects while that cannot be looked up. */
  may(user: string, permission: Permission): Promise<boolean>;
  register(routes: Routes, traffic: TrafficOf): void;
  /** Puts users’ snapshots together from the log of their zones. */
  readonly worker: Projection;
  /** What a reader of a user’s own stream is told first. */
  events(user: string): InitialEvent[];
  /** Writes down what an operator did. */
  onAuditEvent(event: AuditEvent): void;
  /** Once the tables are there and the address is known. */
  begin(baseUrl: string): Promise<void>;
  close(): void;
  /** A link for whoever becomes the first administrator; null when there is a user. The one made before counts no more. */
  ownerLink(): Promise<string | null>;
}

export function openAccounts(settings: AccountSettings): Accounts {
  const {
    database,
    clock,
    secret,
    sessionHours,
    twoFactorRequired,
    mailer,
    providers,
    isOpen,
    server,
    guests,
    host,
    zones,
    hub,
    feed,
    instruments,
    onFailure,
  } = settings;
  let begun: { identity: Identity; baseUrl: string } | null = null;
  const current = () => {
    if (!begun)
      throw new ApiProblem('DATABASE_UNAVAILABLE', 'User accounts cannot be read yet.', 'The server is starting; try again in a moment.');
    return begun;
  };
  const userStore = new UserStore(database);
  const names = new UserNames(database);
  const records = new AccountRecords(database, server);
  const own = new OwnAccounts({ zones, hub, records, isShared: settings.isShared, onFailure });
  const keys = new ApiKeys(database, clock, twoFactorRequired);
  const revocations = revocationsFor(settings, () => principals);
  const principals: Principals = new Principals({
    identity: () => current().identity,
    keys,
    userStore,
    clock,
    issuer: () => current().baseUrl,
    guests,
    twoFactorRequired,
    revocations,
    onFailure,
  });
  const options: Omit<SignInOptions, 'isSignedIn' | 'passkeys'> = {
    demo: false,
    signUp: isOpen ? 'open' : 'invitation',
    mail: mailer !== null,
    providers: providers.map(({ id, ...rest }) => ({ id, name: 'name' in rest ? rest.name : id })),
    password: { lengthMin: PASSWORD_LENGTH_MIN, lengthMax: PASSWORD_LENGTH_MAX },
  };
  const audit = new AuditLog(database, (tenant, line) => feed.publish(tenantChannel(tenant), 'audited', line));
  const parts: Omit<AccountParts, 'traffic' | 'notify'> = {
    identity: () => current().identity,
    baseUrl: () => current().baseUrl,
    database,
    userStore,
    names,
    keys,
    audit,
    principals,
    revocations,
    lockout: new Lockout(database, clock),
    consumeCode: (user, code) => consumeCode(database, user, code),
    mailer,
    isOpen,
    keyDays: settings.keyDays,
    limiter: new MemoryRateLimiter(() => clock.elapsed()),
    providers: providers.map(({ id }) => id),
  };
  const notify = async (id: string, what: Notice) => {
    const user = mailer && (await userStore.user(id));
    if (user) mailer.send({ to: user.email, kind: what, link: `${current().baseUrl}/account` });
  };
  const onCreated = (user: string) => {
    own.status(user).catch((error) => onFailure('an account cannot be created yet; it will be when its user comes', error));
  };
  return {
    identify: principals.identify,
    requireNotRevoked: (principal) => principals.requireNotRevoked(principal),
    may: (user, permission) => principals.may(user, permission),
    worker: snapshotWorker({ database, server, host, zones, userStore, records, instruments }),
    events: (user) => own.events(user),
    register: (routes, traffic) => {
      routes.handle(ENDPOINTS.getSignInOptions, ({ principal }) => ({
        ...options,
        isSignedIn: principal.user !== null,
        passkeys: begun && passkeyOrigin(begun.baseUrl),
      }));
      const asked = { ...parts, traffic, notify };
      signInRoutes(routes, asked);
      accountRoutes(routes, asked);
      twoFactorRoutes(routes, asked);
      sessionRoutes(routes, asked);
      apiKeyRoutes(routes, asked);
      passkeyRoutes(routes, asked);
      tenantRoutes(routes, asked);
      invitationRoutes(routes, asked);
      userRoutes(routes, asked);
      auditRoutes(routes, asked);
      providerRoutes(routes, asked);
      mailLinkRoutes(routes, asked);
      passkeySignInRoutes(routes, asked);
      own.register(routes);
    },
    onAuditEvent: ({ principal, route, detail, remote, trace }) => {
      audit
        .append(principal.tenant, {
          actor: principal.name,
          user: principal.user,
          action: 'operated',
          subject: route,
          detail: { ...detail },
          remote,
          trace,
        })
        .catch((error) => onFailure(`it could not be written down that ${principal.name} did ${route}`, error));
    },
    begin: async (baseUrl) => {
      await userStore.createHomeTenant();
      await names.completeAll();
      begun = {
        identity: createIdentity({
          database,
          secret: await secret('identity'),
          passwords: passwordsWith(await secret('password-pepper')),
          sessionHours,
          baseUrl,
          mailer,
          providers,
          isOpen,
          onCreated,
          onReset: async (user) => {
            await revocations.changed();
            notify(user, 'password').catch((error) => onFailure('a user could not be told of a new password', error));
          },
          onFailure,
        }),
        baseUrl,
      };
      await revocations.begin();
    },
    close: () => revocations.close(),
    ownerLink: async () => {
      const token = await userStore.inviteFirstOwner();
      return token === null ? null : `${current().baseUrl}/sign-up?invitation=${token}`;
    },
  };
}
