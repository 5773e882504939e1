import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import type { Database } from '@millrace/database';
import {
  completeFiles,
  createPrivateFile,
  Envelope,
  fileSecrets,
  InstallationSecrets,
  KEY_BYTES,
  localMasterKey,
  type MasterKey,
  type SecretStore,
  tableSecrets,
  vaultMasterKey,
} from '@millrace/secrets';

const FOLDER = 'secrets';
const MASTER_FILE = 'master-key';
/** Id of the master key that was created here. It shows that a key existed, even if the key file was deleted. */
const MASTER_ID_FILE = 'master-key.id';

/** Secrets of this server, in its data folder. */
export function ownSecrets(settings: Settings): InstallationSecrets {
  return new InstallationSecrets(filesOf(settings), envelopeOf(settings));
}

/**
 * Refuses a data folder that has no secrets where an installation would have them.
 * @throws UserError
 */
export function requireOwnSecrets({ data, database, encryption: { key, keyFile, vault } }: Settings): void {
  const isKeyElsewhere = key !== undefined || keyFile !== undefined || vault !== undefined;
  if (existsSync(join(data, FOLDER)) || (database.url !== undefined && isKeyElsewhere)) return;
  throw new UserError(`there are no secrets in ${data}`, 'Name the data folder of the installation with --data, or start a server first.');
}

/** Secrets that all servers of the installation share: in an external database, else in the data folder. */
export function sharedSecrets(settings: Settings, database: Database): InstallationSecrets {
  const files = filesOf(settings);
  return new InstallationSecrets(
    settings.database.url === undefined ? files : inheriting(tableSecrets(database), files),
    envelopeOf(settings),
  );
}

/** Copies secrets from the data folder when an installation moves to an external database. */
function inheriting(store: SecretStore, before: SecretStore): SecretStore {
  return {
    ...store,
    add: async (name, sealed) => store.add(name, (await before.read(name)) ?? sealed),
  };
}

function filesOf({ data }: Settings): SecretStore {
  return fileSecrets(join(data, FOLDER), [MASTER_FILE, MASTER_ID_FILE]);
}

/** Encrypts with the configured master key. @throws UserError if the key or the token of the vault is missing or invalid */
export function envelopeOf({ data, encryption }: Settings): Envelope {
  const { key, keyFile, previousKeys, vault } = encryption;
  const previous = previousKeys.map((text, index) => localMasterKey(keyOf(text, `encryption.previousKeys/${index}`)));
  let first: MasterKey;
  if (vault) first = vaultMasterKey({ ...vault, token: vault.token ?? tokenIn(vault.tokenFile) });
  else if (key !== undefined) first = localMasterKey(keyOf(key, 'encryption.key'));
  else first = localMasterKey(keyFile === undefined ? ownKey(join(data, FOLDER)) : keyIn(keyFile));
  return new Envelope([first, ...previous]);
}

/** The master key in `encryption.keyFile`. */
function keyIn(path: string): Buffer {
  if (!existsSync(path))
    throw new UserError(
      `encryption.keyFile: there is no ${path}`,
      'Create it with: openssl rand -base64 32. Make it readable for this user only.',
    );
  return keyOf(readFileSync(path, 'utf8'), path);
}

/** The master key of the data folder. Created at the first start only: another key could not decrypt the secrets of a lost one. */
function ownKey(folder: string): Buffer {
  const path = join(folder, MASTER_FILE);
  if (existsSync(path)) return keyOf(readFileSync(path, 'utf8'), path);
  if (completeFiles(folder).length > 0)
    throw new UserError(
      `the master key ${path} is missing, and the secrets of this installation are encrypted with it`,
      'Restore the file from a backup, or set the key in encryption.key. Without it, passwords and two-factor codes cannot be verified.',
    );
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const key = randomBytes(KEY_BYTES);
  createPrivateFile(path, key.toString('base64'));
  writeFileSync(join(folder, MASTER_ID_FILE), localMasterKey(key).id, { mode: 0o600 });
  return key;
}

function keyOf(text: string, where: string): Buffer {
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length === KEY_BYTES) return key;
  // The value may be a mistyped secret: print only its length.
  throw new UserError(
    `${where}: a master key is ${KEY_BYTES} bytes in base64; this is ${key.length}`,
    'Create one with: openssl rand -base64 32.',
  );
}

function tokenIn(path: string | undefined): string {
  if (path !== undefined && existsSync(path)) return readFileSync(path, 'utf8').trim();
  throw new UserError(
    path === undefined ? 'encryption.vault has no token' : `encryption.vault.tokenFile: there is no ${path}`,
    'Set encryption.vault.token in the environment (MILLRACE_ENCRYPTION__VAULT__TOKEN), or configure encryption.vault.tokenFile.',
  );
}
