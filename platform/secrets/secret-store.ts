import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Envelope } from './envelope.ts';

const SECRET_BYTES = 32;

/** Where sealed secrets of the installation lie. */
export interface SecretStore {
  read(name: string): Promise<string | null>;
  /** Keeps it unless there is one already; returns the one there is. */
  add(name: string, sealed: string): Promise<string>;
  replace(name: string, sealed: string): Promise<void>;
  names(): Promise<string[]>;
}

/** Files of a folder that only this user can read. */
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
      // In one step: whoever reads meanwhile reads one or the other.
      const beside = `${pathOf(name)}.new`;
      writeFileSync(beside, sealed, { mode: 0o600 });
      renameSync(beside, pathOf(name));
    },
    names: async () => (existsSync(folder) ? readdirSync(folder).filter((name) => !ignored.includes(name) && !name.endsWith('.new')) : []),
  };
}

/** The installation’s own secrets, made when they are first asked for. */
export class InstallationSecrets {
  readonly #store: SecretStore;
  readonly #envelope: Envelope;

  constructor(store: SecretStore, envelope: Envelope) {
    this.#store = store;
    this.#envelope = envelope;
  }

  /** @throws SecretError when it cannot be opened with the master keys there are */
  async secret(name: string): Promise<string> {
    const kept = await this.#store.read(name);
    const sealed = kept ?? (await this.#store.add(name, await this.#envelope.seal(randomBytes(SECRET_BYTES).toString('base64url'), name)));
    if (Envelope.isSealed(sealed)) return this.#envelope.open(sealed, name);
    // One of the time before secrets were sealed.
    await this.#store.replace(name, await this.#envelope.seal(sealed, name));
    return sealed;
  }

  /** Which master key each secret needs now. */
  async list(): Promise<{ name: string; master: string }[]> {
    const found: { name: string; master: string }[] = [];
    for (const name of (await this.#store.names()).sort((one, other) => (one < other ? -1 : 1))) {
      const sealed = (await this.#store.read(name)) ?? '';
      found.push({ name, master: Envelope.isSealed(sealed) ? Envelope.masterOf(sealed) : 'none' });
    }
    return found;
  }

  /** Seals every secret anew: with a new data key, under the master key that is first now. Returns how many. */
  async reseal(): Promise<number> {
    const names = await this.#store.names();
    for (const name of names) await this.#store.replace(name, await this.#envelope.seal(await this.secret(name), name));
    return names.length;
  }
}
