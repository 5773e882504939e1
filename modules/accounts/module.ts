import { type AccountEvent, accountsContract, INSTRUMENTS, USERS } from '@millrace/contracts';
import { failureReason } from '@millrace/database';
import { ApiProblem, type StreamsOf } from '@millrace/http';
import { type ChannelSource, defineModule, IDENTITY, type ModuleContext } from '@millrace/module';
import { zoneKind } from '@millrace/topics';
import type { Accounts } from './accounts.ts';
import { accountCommands } from './commands.ts';
import { demoRoutes, identifyDemo } from './demo.ts';
import { mailerOver } from './mail.ts';
import { publishAccount } from './user-stream.ts';
import { type AccountCommand, type AccountState, accountZone } from './zone.ts';

const accountKind = zoneKind<AccountState, AccountCommand, AccountEvent>('account', 'accounts', () => accountZone);

/** Interval at which audit entries that could not be stored are tried again. */
const STORE_AUDIT_MS = 10_000;
const DELETE_SESSIONS_MS = 3_600_000;

/** Users, tenants, API keys and sessions. */
export const accountsModule = defineModule({
  contract: accountsContract,
  zones: [accountKind],
  zonesMax: ({ accounts }) => accounts.openMax,
  needs: [INSTRUMENTS],
  provides: [IDENTITY, USERS],
  commands: accountCommands,
  isEnabled: ({ demo }) => !demo,
  open: async (context) => {
    const { settings, database, fanOut } = context;
    const changed = new Set<(user: string) => void>();
    const accounts = await openIn(context, (user) => {
      for (const listener of changed) listener(user);
    });
    context.zones(accountKind).onDecided((_user, batch, state) => publishAccount(fanOut, batch, state));
    context.provide(IDENTITY, {
      identify: accounts.identify,
      requireNotRevoked: (principal) => accounts.requireNotRevoked(principal),
      onAuditEvent: (event) => accounts.onAuditEvent(event),
      ownerLink: () => accounts.ownerLink(),
    });
    context.provide(USERS, {
      may: (user, permission) => accounts.may(user, permission),
      onChanged: (listener) => changed.add(listener),
    });
    const { topic } = accountKind;
    return {
      routes: (routes, { traffic }) => accounts.register(routes, traffic),
      channels: channelSources(accounts),
      projections: {
        [accounts.worker.name]: {
          topic,
          projection: accounts.worker,
          sendsTo: topic,
          after: database.ready,
          reasonOf: failureReason,
        },
      },
      services: {
        accounts: {
          role: 'api',
          start: async (url) => {
            await database.ready;
            await accounts.begin(settings.publicUrl ?? url);
          },
        },
      },
      jobs: {
        audit: { role: 'api', everyMs: STORE_AUDIT_MS, run: () => accounts.storeAuditEntries() },
        sessions: { role: 'api', everyMs: DELETE_SESSIONS_MS, run: () => accounts.deleteExpiredSessions() },
      },
      close: () => accounts.close(),
    };
  },
});

/** Demo mode: everyone on this machine is the owner, and nobody signs in. */
export const demoAccountsModule = defineModule({
  contract: { ...accountsContract, topics: {} },
  provides: [IDENTITY],
  isEnabled: ({ demo }) => demo,
  open: ({ provide, logger }) => {
    provide(IDENTITY, {
      identify: identifyDemo,
      requireNotRevoked: () => {},
      onAuditEvent: ({ route, detail, trace }) => logger.info({ audit: detail, trace }, route),
      ownerLink: async () => null,
    });
    return { routes: demoRoutes };
  },
});

/** Opens the accounts. Loads their code only now, because demo mode and the command line do without it. */
async function openIn(context: ModuleContext, onChanged: (user: string) => void): Promise<Accounts> {
  const { settings, clock, database, sharedSecrets, hub, fanOut, mail, streams, logger, serverId } = context;
  const instruments = context.need(INSTRUMENTS);
  const { host } = context.topic(accountKind.topic);
  if (!host) throw new TypeError('The zones of accounts run in another process.');
  const onFailure = (message: string, detail: unknown) => logger.error({ reason: failureReason(detail) }, message);
  const { openAccounts } = await import('./accounts.ts');
  return openAccounts({
    clock,
    database: database.connection,
    secret: (name) => sharedSecrets.secret(name),
    hub,
    feed: fanOut,
    zones: context.zones(accountKind),
    host,
    instruments: () => instruments.ids(),
    onEnded: (whose: StreamsOf) => {
      streams.endRevoked(whose);
      if ('user' in whose) onChanged(whose.user);
    },
    others: (onMessage) => context.announcements('revocations', onMessage),
    mailer: mail && mailerOver(mail, onFailure),
    providers: settings.accounts.providers,
    isOpen: settings.accounts.signUp === 'open',
    server: serverId,
    isShared: serverId !== null,
    sessionHours: settings.accounts.sessionHours,
    keyDays: { usual: settings.accounts.keyDays, most: settings.accounts.keyDaysMax },
    twoFactorRequired: settings.accounts.twoFactor === 'operators',
    guests: settings.worlds.guests ? ['world:play'] : [],
    onFailure,
  });
}

function channelSources(accounts: Accounts): Record<string, ChannelSource> {
  return {
    users: {
      initial: ({ user = '' }) => accounts.events(user),
      check: ({ user }, principal) => {
        if (user !== principal.user)
          throw new ApiProblem(
            'FORBIDDEN',
            `users:${user} is the private channel of another user.`,
            'Use the channel "user" for your own events.',
          );
      },
    },
    tenants: {
      check: ({ tenant }, principal) => {
        if (tenant !== principal.tenant && !principal.permissions.has('platform:admin'))
          throw new ApiProblem('FORBIDDEN', `tenants:${tenant} belongs to another tenant.`, `Use "tenants:${principal.tenant}".`);
      },
    },
  };
}
