import { type Argon2Parameters, argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/*
 * Passwords as argon2id hashes, written as PHC strings: $argon2id$v=19$m=19456,t=2,p=1$salt$tag. The parameters are those of the OWASP Password Storage
 * Cheat Sheet (2025): 19 MiB, two passes, one lane. A hash with other parameters is verified with its own.
 *
 * A secret outside the tables is part of each hash (argon2’s K, a “pepper”), so that the tables alone do not allow guessing. Hashes with `keyid=1` include
 * it; older hashes have no keyid.
 */

const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
/** Maximum memory of a stored hash, so that a manipulated row cannot exhaust the memory. */
const MEMORY_KIB_MAX = 262_144;
/** Concurrent hashes: each takes 19 MiB and one of the four threads of the pool. */
const AT_ONCE_MAX = 3;
const WAITING_MAX = 200;

const derive = promisify(argon2) as (algorithm: 'argon2id', parameters: Argon2Parameters) => Promise<Buffer>;
const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)(,keyid=1)?\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** Thrown when too many passwords wait to be hashed. */
export class TooBusy extends Error {}

let atWork = 0;
const waiting: (() => void)[] = [];

export interface Passwords {
  hash(password: string): Promise<string>;
  /** Whether a password matches a hash; false for an invalid hash. */
  verify(hash: string, password: string): Promise<boolean>;
}

/** @param pepper secret that is stored apart from the hashes */
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
    // Different Unicode forms of one letter are the same password (NIST SP 800-63B).
    return await derive('argon2id', { message: Buffer.from(password.normalize('NFKC')), nonce, ...parameters });
  } finally {
    atWork--;
    waiting.shift()?.();
  }
}

const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
