import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Envelope } from './envelope.ts';

const SECRET_BYTES = 32;

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
        writeFileSync(pathOf(name), sealed, { mode: 0o600, flag: 'wx' });
        return sealed;
      } catch (error) {
        if ((error as { code?: string }).code !== 'EEXIST') throw error;
        return readFileSync(pathOf(name), 'utf8');
      }
    },
    replace: async (name, sealed) => {
      // Atomic: a concurrent reader gets the old or the new secret.
      const temporary = `${pathOf(name)}.new`;
      writeFileSync(temporary, sealed, { mode: 0o600 });
      renameSync(temporary, pathOf(name));
    },
    names: async () => (existsSync(folder) ? readdirSync(folder).filter((name) => !ignored.includes(name) && !name.endsWith('.new')) : []),
  };
}

/** Secrets of the installation itself. Each is created at random when it is first read. */
export class InstallationSecrets {
  readonly #store: SecretStore;
  readonly #envelope: Envelope;

  constructor(store: SecretStore, envelope: Envelope) {
    this.#store = store;
    this.#envelope = envelope;
  }

  /** The secret of a name, in plain text. @throws SecretError when the configured master keys cannot open it */
  async secret(name: string): Promise<string> {
    const stored = await this.#store.read(name);
    const sealed =
      stored ?? (await this.#store.add(name, await this.#envelope.seal(randomBytes(SECRET_BYTES).toString('base64url'), name)));
    if (Envelope.isSealed(sealed)) return this.#envelope.open(sealed, name);
    // Older versions stored secrets in plain text.
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
