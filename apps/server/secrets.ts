import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Settings } from '@millrace/platform/config';
import type { Database } from '@millrace/platform/database';
import {
  Envelope,
  fileSecrets,
  InstallationSecrets,
  KEY_BYTES,
  localMasterKey,
  type MasterKey,
  type SecretStore,
  tableSecrets,
  vaultMasterKey,
} from '@millrace/platform/secrets';
import { UserError } from './user-error.ts';

const FOLDER = 'secrets';
const MASTER_FILE = 'master-key';
/** Name of the secret that zones’ random numbers are made from. */
export const ZONE_RANDOM = 'zone-random';

/** Secrets of this server’s own, in its data folder. */
export function ownSecrets(settings: Settings): InstallationSecrets {
  return new InstallationSecrets(filesOf(settings), envelopeOf(settings));
}

/** Secrets that all servers of the installation share: where their tables are, if that is a server; else in the data folder. */
export function sharedSecrets(settings: Settings, database: Database): InstallationSecrets {
  const files = filesOf(settings);
  return new InstallationSecrets(
    settings.database.url === undefined ? files : inheriting(tableSecrets(database), files),
    envelopeOf(settings),
  );
}

/** Takes over what an installation had in its data folder before it had a database server. */
function inheriting(store: SecretStore, before: SecretStore): SecretStore {
  return {
    ...store,
    add: async (name, sealed) => store.add(name, (await before.read(name)) ?? sealed),
  };
}

function filesOf({ data }: Settings): SecretStore {
  return fileSecrets(join(data, FOLDER), [MASTER_FILE]);
}

function envelopeOf({ data, encryption }: Settings): Envelope {
  const { key, keyFile, previousKeys, vault } = encryption;
  const previous = previousKeys.map((text, index) => localMasterKey(keyOf(text, `encryption.previousKeys/${index}`)));
  let first: MasterKey;
  if (vault) first = vaultMasterKey({ ...vault, token: vault.token ?? tokenIn(vault.tokenFile) });
  else if (key !== undefined) first = localMasterKey(keyOf(key, 'encryption.key'));
  else first = localMasterKey(keyIn(keyFile ?? join(data, FOLDER, MASTER_FILE), keyFile === undefined));
  return new Envelope([first, ...previous]);
}

/** The master key in a file; made when it is the data folder’s own. */
function keyIn(path: string, mayMake: boolean): Buffer {
  if (!existsSync(path)) {
    if (!mayMake)
      throw new UserError(`encryption.keyFile: there is no ${path}`, 'Make one: openssl rand -base64 32, and let only this user read it.');
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, randomBytes(KEY_BYTES).toString('base64'), { mode: 0o600, flag: 'wx' });
  }
  return keyOf(readFileSync(path, 'utf8'), path);
}

function keyOf(text: string, where: string): Buffer {
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length === KEY_BYTES) return key;
  // The value is a secret, even one that is none: only its length is told.
  throw new UserError(
    `${where}: a master key is ${KEY_BYTES} bytes in base64; this is ${key.length}`,
    'Make one: openssl rand -base64 32.',
  );
}

function tokenIn(path: string | undefined): string {
  if (path !== undefined && existsSync(path)) return readFileSync(path, 'utf8').trim();
  throw new UserError(
    path === undefined ? 'encryption.vault has no token' : `encryption.vault.tokenFile: there is no ${path}`,
    'Set encryption.vault.token in the environment (MILLRACE_ENCRYPTION__VAULT__TOKEN), or name a tokenFile.',
  );
}
