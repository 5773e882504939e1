import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { decrypt, encrypt, KEY_BYTES, type MasterKey } from './master-key.ts';

/** What a sealed secret begins with: the kind of envelope it is in. */
const KIND = 'mse1';
/** Unwrapped data keys remembered, so that a key management service is asked once for each and not for each secret. */
const DATA_KEYS_MAX = 256;

export class SecretError extends Error {}

/**
 * Seals secrets and opens them. A sealed one carries everything but the master key: `mse1.<master key>.<wrapped data key>.<ciphertext>`, so that it
 * may lie in a file, a row or a bucket.
 */
export class Envelope {
  readonly #current: MasterKey;
  readonly #masters: ReadonlyMap<string, MasterKey>;
  readonly #dataKeys = new LRUCache<string, Buffer>({ max: DATA_KEYS_MAX });
  #own: Promise<{ key: Buffer; wrapped: string }> | null = null;

  /** @param masters the first one seals; the others only open what they sealed while they were first */
  constructor([current, ...previous]: readonly [MasterKey, ...MasterKey[]]) {
    this.#current = current;
    this.#masters = new Map([current, ...previous].map((master) => [master.id, master]));
  }

  /** The master key that seals now. */
  get master(): string {
    return this.#current.id;
  }

  static isSealed(text: string): boolean {
    return text.startsWith(`${KIND}.`);
  }

  /** Which master key a sealed secret needs. */
  static masterOf(sealed: string): string {
    return sealed.split('.')[1] ?? '';
  }

  /** @param context what the secret is for; it can be opened for nothing else */
  async seal(plain: string, context: string): Promise<string> {
    this.#own ??= this.#newDataKey();
    const { key, wrapped } = await this.#own.catch((error) => {
      this.#own = null;
      throw error;
    });
    return [KIND, this.#current.id, wrapped, encrypt(key, Buffer.from(plain), context)].join('.');
  }

  /** @throws SecretError when its master key is not configured, it is for something else, or it was changed */
  async open(sealed: string, context: string): Promise<string> {
    const [kind, id = '', wrapped = '', ciphertext = ''] = sealed.split('.');
    if (kind !== KIND) throw new SecretError(`the secret "${context}" is not sealed`);
    const master = this.#masters.get(id);
    if (!master)
      throw new SecretError(
        `the secret "${context}" was sealed with the master key ${id}; configured ${this.#masters.size === 1 ? 'is' : 'are'} ${[...this.#masters.keys()].join(', ')}`,
      );
    try {
      const key = this.#dataKeys.get(wrapped) ?? (await master.unwrap(wrapped));
      this.#dataKeys.set(wrapped, key);
      return decrypt(key, ciphertext, context).toString();
    } catch (error) {
      throw new SecretError(`the secret "${context}" cannot be opened with the master key ${id}: ${(error as Error).message}`);
    }
  }

  async #newDataKey(): Promise<{ key: Buffer; wrapped: string }> {
    const key = randomBytes(KEY_BYTES);
    const wrapped = await this.#current.wrap(key);
    this.#dataKeys.set(wrapped, key);
    return { key, wrapped };
  }
}
