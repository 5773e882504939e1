import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/*
 * Envelope encryption (key wrapping in NIST SP 800-57): a data key encrypts the secret, and a master key encrypts the data key. The master key is
 * stored separately. The cipher is AES-256-GCM with 96-bit random nonces and 128-bit tags (NIST SP 800-38D).
 */

/** Length of a master key and of a data key. */
export const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Key that wraps data keys: a key in a file or in the environment, or a key that never leaves a key management service. */
export interface MasterKey {
  /** Stored with each wrapped data key, to find the master key that unwraps it. */
  readonly id: string;
  wrap(dataKey: Buffer): Promise<string>;
  /** @throws when another key wrapped it, or a byte was changed */
  unwrap(wrapped: string): Promise<Buffer>;
}

/** A master key in the memory of this process. @param key 32 bytes */
export function localMasterKey(key: Buffer): MasterKey {
  if (key.length !== KEY_BYTES) throw new Error(`A master key must have ${KEY_BYTES} bytes; this one has ${key.length}.`);
  // A hash identifies the key without revealing it.
  const id = `local-${createHash('sha256').update('millrace master key').update(key).digest('hex').slice(0, 12)}`;
  return {
    id,
    wrap: async (dataKey) => encrypt(key, dataKey, id),
    unwrap: async (wrapped) => decrypt(key, wrapped, id),
  };
}

/**
 * Encrypts bytes with AES-256-GCM.
 * @param context purpose of the secret; `decrypt` needs the same context, so a ciphertext cannot be moved to another purpose
 * @returns nonce, ciphertext and tag in base64url
 */
export function encrypt(key: Buffer, plain: Buffer, context: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** Decrypts the result of `encrypt`. @throws when the key or the context differs, or a bit was changed */
export function decrypt(key: Buffer, sealed: string, context: string): Buffer {
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('the text is too short for a sealed secret');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}
