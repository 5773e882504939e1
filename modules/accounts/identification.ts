import type { Permission } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { Database } from '@millrace/platform/database';
import { ApiProblem, type Identify, type StreamsOf } from '@millrace/platform/http';
import { ApiKeys } from './api-keys.ts';
import { createIdentity, type Identity } from './identity.ts';
import { Members } from './members.ts';
import { passwordsWith } from './passwords.ts';
import { type AccountChange, Principals } from './principals.ts';

export interface IdentificationSettings {
  readonly database: Database;
  readonly clock: Clock;
  /** Secrets of the installation: what cookies are signed and second factors are encrypted with; what goes into every password’s hash. */
  readonly secret: (name: 'identity' | 'password-pepper') => Promise<string>;
  /** How long a session lasts. */
  readonly sessionHours: number;
  /** Whether who may operate or administrate needs a second factor for it. */
  readonly needsSecondFactor: boolean;
  /** What anyone may do without signing in. */
  readonly guests: readonly Permission[];
  /** What someone has open under what it was is to be ended. */
  readonly onEnded: (whose: StreamsOf) => void;
  /** The other servers of the installation: what is told them, and what they tell. */
  readonly others: (heard: (change: AccountChange) => void) => { tell(change: AccountChange): void; close(): void };
  readonly onTrouble: (message: string, detail: unknown) => void;
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
  const { database, clock, secret, others, needsSecondFactor } = settings;
  let identity: Identity | null = null;
  const principals = new Principals({
    ...settings,
    identity: () => {
      if (!identity)
        throw new ApiProblem('TABLES_AWAY', 'Users cannot be looked up yet.', 'The gateway is starting; try again in a moment.');
      return identity;
    },
    keys: new ApiKeys(database, clock, needsSecondFactor),
    members: new Members(database),
    issuer: () => baseUrl,
    onChange: () => {},
  });
  const told = others((change) => principals.heard(change));
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
        onReset: () => {},
      });
      // Their own signing keys are the servers’ business; that they can be read shows that the tables are there.
      await identity.api.getJwks();
    },
    close: () => told.close(),
  };
}
