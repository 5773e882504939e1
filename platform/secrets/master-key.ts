import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/*
 * Envelope encryption (NIST SP 800-57 calls it key wrapping): what is secret is encrypted with a data key, the data key with a master key that is
 * kept somewhere else. All with AES-256-GCM: 96-bit random nonces, 128-bit tags (NIST SP 800-38D).
 */

export const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What wraps data keys. A key in a file or the environment, or one that a key management service never lets out. */
export interface MasterKey {
  /** By which what it wrapped is known again. */
  readonly id: string;
  wrap(dataKey: Buffer): Promise<string>;
  /** @throws when it was not wrapped by this key, or changed since */
  unwrap(wrapped: string): Promise<Buffer>;
}

/** A master key that is known to this process. @param key 32 bytes */
export function localMasterKey(key: Buffer): MasterKey {
  if (key.length !== KEY_BYTES) throw new Error(`a master key has ${KEY_BYTES} bytes; this one has ${key.length}`);
  // Tells keys apart and says nothing of them.
  const id = `local-${createHash('sha256').update('millrace master key').update(key).digest('hex').slice(0, 12)}`;
  return {
    id,
    wrap: async (dataKey) => encrypt(key, dataKey, id),
    unwrap: async (wrapped) => decrypt(key, wrapped, id),
  };
}

/**
 * @param context what the secret belongs to: the same one is needed to read it, so that it cannot be put somewhere else
 * @returns nonce, ciphertext and tag in base64url
 */
export function encrypt(key: Buffer, plain: Buffer, context: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** @throws when key or context are others, or a bit was changed */
export function decrypt(key: Buffer, sealed: string, context: string): Buffer {
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('too short to be a sealed secret');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}
