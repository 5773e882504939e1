import { type Cipheriv, createCipheriv, createHmac } from 'node:crypto';
import type { RandomNumbers } from '@millrace/kernel';

/** Name of the secret that seeds the random numbers of zones. */
export const ZONE_RANDOM = 'zone-random';

const NUMBER_BYTES = 8;
const BLOCK = Buffer.alloc(128 * NUMBER_BYTES);
const IV = Buffer.alloc(16);

/**
 * Random numbers of zones in [0, 1). They cannot be predicted from earlier numbers without the secret: they are the keystream of AES-256 in counter
 * mode, with a key derived from the secret, the zone, the epoch and the opening.
 */
export function secretNumbers(secret: string): RandomNumbers {
  return (zone, epoch, opening) => {
    let cipher: Cipheriv | null = null;
    let block = BLOCK;
    let at = BLOCK.length;
    return () => {
      if (at === BLOCK.length) {
        // Created on first use: most zones never draw a number.
        cipher ??= createCipheriv('aes-256-ctr', createHmac('sha256', secret).update(`${zone}\n${epoch}\n${opening}`).digest(), IV);
        block = cipher.update(BLOCK);
        at = 0;
      }
      const high = block.readUInt32BE(at) >>> 5;
      const low = block.readUInt32BE(at + 4) >>> 6;
      at += NUMBER_BYTES;
      return (high * 2 ** 26 + low) / 2 ** 53;
    };
  };
}
