import { type Argon2Parameters, argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/*
 * Passwords as argon2id hashes, written as PHC strings: $argon2id$v=19$m=19456,t=2,p=1$salt$tag. The parameters are those of the OWASP Password Storage
 * Cheat Sheet (2025): 19 MiB, two passes, one lane. A hash with other parameters is still verified, by what it says of itself.
 *
 * A secret that is not in the tables goes in as well (argon2’s K; a “pepper”): whoever has only the tables cannot even begin to guess. A hash that says
 * `keyid=1` was made with it, one that says nothing is of before.
 */

const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
/** Most memory a stored hash may ask for, so that a row that was tampered with cannot take all there is. */
const MEMORY_KIB_MAX = 262_144;
/** Hashes at a time: each takes 19 MiB and a thread of the pool, which has four. */
const AT_ONCE_MAX = 3;
const WAITING_MAX = 200;

const derive = promisify(argon2) as (algorithm: 'argon2id', parameters: Argon2Parameters) => Promise<Buffer>;
const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)(,keyid=1)?\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** Too many passwords wait to be hashed. */
export class TooBusy extends Error {}

let atWork = 0;
const waiting: (() => void)[] = [];

export interface Passwords {
  hash(password: string): Promise<string>;
  /** Whether a password is the one that was hashed; false for a hash that is none. */
  verify(hash: string, password: string): Promise<boolean>;
}

/** @param pepper a secret that is kept elsewhere than the hashes */
export function passwordsWith(pepper: string): Passwords {
  const secret = Buffer.from(pepper);
  return {
    hash: async (password) => {
      const salt = randomBytes(SALT_BYTES);
      const tag = await tagOf(password, salt, { memory: MEMORY_KIB, passes: PASSES, parallelism: LANES, tagLength: TAG_BYTES, secret });
      return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES},keyid=1$${unpadded(salt)}$${unpadded(tag)}`;
    },
    verify: async (hash, password) => {
      const [, memory, passes, lanes, keyed, salt, tag] = PHC.exec(hash) ?? [];
      if (tag === undefined || Number(memory) > MEMORY_KIB_MAX) return false;
      const expected = Buffer.from(tag, 'base64');
      const parameters = { memory: Number(memory), passes: Number(passes), parallelism: Number(lanes), tagLength: expected.length };
      const made = await tagOf(password, Buffer.from(salt as string, 'base64'), { ...parameters, ...(keyed !== undefined && { secret }) });
      return timingSafeEqual(made, expected);
    },
  };
}

async function tagOf(
  password: string,
  nonce: Buffer,
  parameters: { memory: number; passes: number; parallelism: number; tagLength: number; secret?: Buffer },
): Promise<Buffer> {
  if (atWork >= AT_ONCE_MAX) {
    if (waiting.length >= WAITING_MAX) throw new TooBusy(`${waiting.length} passwords wait to be checked`);
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  atWork++;
  try {
    // Two ways to write the same letter are the same password (NIST SP 800-63B).
    return await derive('argon2id', { message: Buffer.from(password.normalize('NFKC')), nonce, ...parameters });
  } finally {
    atWork--;
    waiting.shift()?.();
  }
}

const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
