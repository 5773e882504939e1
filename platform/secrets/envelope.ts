import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { decrypt, encrypt, KEY_BYTES, type MasterKey } from './master-key.ts';

/** Format and version of a sealed secret: its first part. */
const FORMAT = 'mse1';
/** Maximum number of cached data keys. With the cache, a key management service unwraps each data key once, not once per secret. */
const DATA_KEYS_MAX = 256;

/** A sealed secret cannot be opened. */
export class SecretError extends Error {
  readonly remedy: string;

  constructor(message: string, remedy = 'Configure the master key that encrypted it, as encryption.key or in encryption.previousKeys.') {
    super(message);
    this.remedy = remedy;
  }
}

/**
 * Encrypts (seals) and decrypts (opens) secrets. A sealed secret is the text `mse1.<master key id>.<wrapped data key>.<ciphertext>`.
 * It can be stored anywhere: only the master key opens it.
 */
export class Envelope {
  readonly #current: MasterKey;
  readonly #masters: ReadonlyMap<string, MasterKey>;
  readonly #dataKeys = new LRUCache<string, Buffer>({ max: DATA_KEYS_MAX });
  /** Data key with which this instance seals. */
  #sealingKey: Promise<{ key: Buffer; wrapped: string }> | null = null;

  /** @param masters the first one seals; the others are previous keys and only open */
  constructor([current, ...previous]: readonly [MasterKey, ...MasterKey[]]) {
    this.#current = current;
    this.#masters = new Map([current, ...previous].map((master) => [master.id, master]));
  }

  /** Id of the master key that seals. */
  get master(): string {
    return this.#current.id;
  }

  /** Whether a text is a sealed secret. */
  static isSealed(text: string): boolean {
    return text.startsWith(`${FORMAT}.`);
  }

  /** Id of the master key that a sealed secret needs. */
  static masterOf(sealed: string): string {
    return sealed.split('.')[1] ?? '';
  }

  /** Seals a text. @param context purpose of the secret; `open` needs the same context */
  async seal(plain: string, context: string): Promise<string> {
    this.#sealingKey ??= this.#newDataKey();
    const { key, wrapped } = await this.#sealingKey.catch((error) => {
      this.#sealingKey = null;
      throw error;
    });
    return [FORMAT, this.#current.id, wrapped, encrypt(key, Buffer.from(plain), context)].join('.');
  }

  /** Opens a sealed secret. @throws SecretError when its master key is not configured, the context differs, or a byte was changed */
  async open(sealed: string, context: string): Promise<string> {
    const [format, id = '', wrapped = '', ciphertext = ''] = sealed.split('.');
    if (format !== FORMAT) throw new SecretError(`the secret "${context}" is not sealed`);
    const master = this.#masters.get(id);
    if (!master)
      throw new SecretError(
        `the secret "${context}" was sealed with the master key ${id}, which is not configured. Configured: ${[...this.#masters.keys()].join(', ')}`,
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
