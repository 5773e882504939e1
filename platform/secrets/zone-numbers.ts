import { type Cipheriv, createCipheriv, createHmac } from 'node:crypto';
import type { RandomNumbers } from '@millrace/kernel';

/** Name of the secret that the random numbers of zones are made from. */
export const ZONE_RANDOM = 'zone-random';

const NUMBER_BYTES = 8;
const BLOCK = Buffer.alloc(128 * NUMBER_BYTES);
const IV = Buffer.alloc(16);

/**
 * Random numbers of zones that nobody can predict who does not know the secret, however many of them they have seen: the
 * keystream of AES-256 in counter mode, under a key that is made from the secret, the zone and the epoch.
 */
export function secretNumbers(secret: string): RandomNumbers {
  return (zone, epoch) => {
    let cipher: Cipheriv | null = null;
    let block = BLOCK;
    let at = BLOCK.length;
    return () => {
      if (at === BLOCK.length) {
        // Most zones never draw a number.
        cipher ??= createCipheriv('aes-256-ctr', createHmac('sha256', secret).update(`${zone}\n${epoch}`).digest(), IV);
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
