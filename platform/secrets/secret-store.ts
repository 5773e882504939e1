import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Envelope, SecretError } from './envelope.ts';

const SECRET_BYTES = 32;
/** A secret in plain text, as older versions stored it: `SECRET_BYTES` in base64url. */
const PLAIN_SECRET = /^[\w-]{43}$/;
/** End of the names of files that are written and not complete yet. */
const INCOMPLETE = '.new';

/** Storage for sealed secrets, by name. */
export interface SecretStore {
  read(name: string): Promise<string | null>;
  /** Stores a secret unless one of this name exists. Returns the stored one. */
  add(name: string, sealed: string): Promise<string>;
  replace(name: string, sealed: string): Promise<void>;
  names(): Promise<string[]>;
}

/** Secret store in a folder, one file per secret, readable by this user only. @param ignored names of other files in the folder */
export function fileSecrets(folder: string, ignored: readonly string[] = []): SecretStore {
  const pathOf = (name: string) => join(folder, name);
  const read = async (name: string) => (existsSync(pathOf(name)) ? readFileSync(pathOf(name), 'utf8') : null);
  return {
    read,
    add: async (name, sealed) => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      try {
        createPrivateFile(pathOf(name), sealed);
        return sealed;
      } catch (error) {
        if ((error as { code?: string }).code !== 'EEXIST') throw error;
        return readFileSync(pathOf(name), 'utf8');
      }
    },
    replace: async (name, sealed) => {
      // Atomic: a concurrent reader gets the old or the new secret.
      const temporary = `${pathOf(name)}${INCOMPLETE}`;
      writeFileSync(temporary, sealed, { mode: 0o600, flush: true });
      renameSync(temporary, pathOf(name));
    },
    names: async () => completeFiles(folder).filter((name) => !ignored.includes(name)),
  };
}

/**
 * Creates a file that only this user can read. It has its whole content or does not exist, also when the process is killed or the disk is full.
 * @throws EEXIST when it exists
 */
export function createPrivateFile(path: string, content: string): void {
  const temporary = `${path}.${process.pid}${INCOMPLETE}`;
  try {
    writeFileSync(temporary, content, { mode: 0o600, flush: true });
    // Fails when the file exists, unlike a rename.
    linkSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Names of the files of a folder, without those that a killed process left incomplete. */
export function completeFiles(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.endsWith(INCOMPLETE)) : [];
}

/** Secrets of the installation itself. Each is created at random when it is first read. */
export class InstallationSecrets {
  readonly #store: SecretStore;
  readonly #envelope: Envelope;

  constructor(store: SecretStore, envelope: Envelope) {
    this.#store = store;
    this.#envelope = envelope;
  }

  /** The secret of a name, in plain text. @throws SecretError when the configured master keys cannot open it, or it is damaged */
  async secret(name: string): Promise<string> {
    const stored = await this.#store.read(name);
    const sealed =
      stored ?? (await this.#store.add(name, await this.#envelope.seal(randomBytes(SECRET_BYTES).toString('base64url'), name)));
    if (Envelope.isSealed(sealed)) return this.#envelope.open(sealed, name);
    // Older versions stored secrets in plain text. Anything else is damaged, and would be a weak secret.
    if (!PLAIN_SECRET.test(sealed))
      throw new SecretError(
        `the secret "${name}" is damaged: its ${sealed.length} characters are not a sealed secret`,
        'Restore it from a backup. If no user has signed in yet, delete it, and a new one is created.',
      );
    await this.#store.replace(name, await this.#envelope.seal(sealed, name));
    return sealed;
  }

  /** Id of the master key of each secret, sorted by name; `none` for a secret in plain text. */
  async list(): Promise<{ name: string; master: string }[]> {
    const found: { name: string; master: string }[] = [];
    for (const name of (await this.#store.names()).sort((a, b) => (a < b ? -1 : 1))) {
      const sealed = (await this.#store.read(name)) ?? '';
      found.push({ name, master: Envelope.isSealed(sealed) ? Envelope.masterOf(sealed) : 'none' });
    }
    return found;
  }

  /** Seals every secret again with a new data key under the current master key. Returns the number of secrets. */
  async reseal(): Promise<number> {
    const names = await this.#store.names();
    for (const name of names) await this.#store.replace(name, await this.#envelope.seal(await this.secret(name), name));
    return names.length;
  }
}
