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
  /** Secrets of the installation: the key that signs cookies and encrypts two-factor secrets, and the pepper of password hashes. */
  readonly secret: (name: 'identity' | 'password-pepper') => Promise<string>;
  /** Lifetime of a session. */
  readonly sessionHours: number;
  /** True if operators and administrators need two-factor authentication. */
  readonly twoFactorRequired: boolean;
  /** Permissions of requests without credentials. */
  readonly guests: readonly Permission[];
  /** Called with revoked credentials or users, whose open connections must end. */
  readonly onEnded: (whose: StreamsOf) => void;
  /** Whether other servers change the same tables. */
  readonly isShared: boolean;
  readonly others: RevocationParts['others'];
  readonly onFailure: (message: string, detail: unknown) => void;
}

export interface Identification {
  readonly identify: Identify;
  /** Resolves when the tables are readable; rejects while they are not. */
  begin(): Promise<void>;
  close(): void;
}

/**
 * Identifies who makes requests, read-only: a gateway uses it with the tables of the servers behind it.
 * @param baseUrl address of the installation for browsers, the issuer of all tokens
 */
export function openIdentification(settings: IdentificationSettings, baseUrl: string): Identification {
  const { database, clock, secret, twoFactorRequired } = settings;
  let identity: Identity | null = null;
  const userStore = new UserStore(database);
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
    userStore,
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
        current: userStore,
      });
      // Only the servers replace signing keys. Reading them shows that the tables exist.
      await identity.api.getJwks();
      await revocations.begin();
    },
    close: () => revocations.close(),
  };
}

/** Clears revoked principals from the caches, then ends their open connections. */
export function revocationsFor(settings: IdentificationSettings, principals: () => Principals): Revocations {
  return new Revocations({
    ...settings,
    onRevoked: (revoked) => {
      principals().forget(revoked);
      if (!('tenant' in revoked)) settings.onEnded(revoked);
    },
  });
}
