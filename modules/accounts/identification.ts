import type { Permission } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import { ApiProblem, type Identify, type StreamsOf } from '@millrace/http';
import type { Clock } from '@millrace/kernel';
import { ApiKeys } from './api-keys.ts';
import { createIdentity, type Identity } from './identity.ts';
import { passwordsWith } from './passwords.ts';
import { Principals } from './principals.ts';
import { type RevocationParts, Revocations } from './revocations.ts';
import { UserStore } from './user-store.ts';

export interface IdentificationSettings {
  readonly database: Database;
  readonly clock: Clock;
  /** Secrets of the installation: what cookies are signed and two-factor secrets are encrypted with; what goes into every password’s hash. */
  readonly secret: (name: 'identity' | 'password-pepper') => Promise<string>;
  /** How long a session lasts. */
  readonly sessionHours: number;
  /** True if operators and administrators need two-factor authentication. */
  readonly twoFactorRequired: boolean;
  /** What anyone may do without signing in. */
  readonly guests: readonly Permission[];
  /** What someone has open under what it was is to be ended. */
  readonly onEnded: (whose: StreamsOf) => void;
  /** Whether other servers of the installation change the same tables. */
  readonly isShared: boolean;
  readonly others: RevocationParts['others'];
  readonly onFailure: (message: string, detail: unknown) => void;
}

export interface Identification {
  readonly identify: Identify;
  /** Once the tables are there; rejects while they are not. */
  begin(): Promise<void>;
  close(): void;
}

/**
 * Finds out who makes requests where nothing about users is changed: at a gateway, in the tables of the servers behind it.
 * @param baseUrl where browsers find the installation, which is in every token
 */
export function openIdentification(settings: IdentificationSettings, baseUrl: string): Identification {
  const { database, clock, secret, twoFactorRequired } = settings;
  let identity: Identity | null = null;
  const revocations = revocationsFor(settings, () => principals);
  const principals = new Principals({
    ...settings,
    revocations,
    identity: () => {
      if (!identity)
        throw new ApiProblem(
          'DATABASE_UNAVAILABLE',
          'User accounts cannot be read yet.',
          'The gateway is starting; try again in a moment.',
        );
      return identity;
    },
    keys: new ApiKeys(database, clock, twoFactorRequired),
    userStore: new UserStore(database),
    issuer: () => baseUrl,
  });
  return {
    identify: principals.identify,
    begin: async () => {
      identity = createIdentity({
        ...settings,
        baseUrl,
        secret: await secret('identity'),
        passwords: passwordsWith(await secret('password-pepper')),
        mailer: null,
        providers: [],
        isOpen: false,
        onCreated: () => {},
        onReset: async () => {},
      });
      // Their own signing keys are the servers’ business; that they can be read shows that the tables are there.
      await identity.api.getJwks();
      await revocations.begin();
    },
    close: () => revocations.close(),
  };
}

/** What was revoked is forgotten by whoever finds out who asks, and then what is open is ended. */
export function revocationsFor(settings: IdentificationSettings, principals: () => Principals): Revocations {
  return new Revocations({
    ...settings,
    onRevoked: (revoked) => {
      principals().forget(revoked);
      if (!('tenant' in revoked)) settings.onEnded(revoked);
    },
  });
}
