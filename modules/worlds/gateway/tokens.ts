import { randomBytes } from 'node:crypto';
import { PlayerId } from '@millrace/contracts';
import { jwtVerify, SignJWT } from 'jose';
import { Compile } from 'typebox/compile';

const ISSUER = 'millrace';
const AUDIENCE = 'millrace-world';
const isPlayerId = Compile(PlayerId);
const NAME_CHARACTERS_MAX = 24;

/** How long a token is valid. */
export const TOKEN_HOURS = 24 * 30;

/** Player and user of a token. */
export interface TokenHolder {
  readonly player: PlayerId;
  readonly name: string;
  /** Owner of the player; null without sign-in. */
  readonly user: string | null;
}

/** Issues and verifies players’ tokens: JWTs signed with one secret (HS256), valid for `hours`. */
export function playerTokens(
  secret: Uint8Array,
  hours = TOKEN_HOURS,
): { issue(holder: TokenHolder): Promise<string>; verify(token: string): Promise<TokenHolder | null> } {
  return {
    issue: ({ player, name, user }) =>
      new SignJWT({ name, ...(user !== null && { user }) })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(player)
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setIssuedAt()
        .setExpirationTime(`${hours}h`)
        .sign(secret),
    verify: async (token) => {
      try {
        const { payload } = await jwtVerify(token, secret, { issuer: ISSUER, audience: AUDIENCE, algorithms: ['HS256'] });
        const { sub, name, user = null } = payload;
        // A zone has its players in an object by id, so the id must not be a member that every object has.
        if (!isPlayerId.Check(sub) || sub in {} || typeof name !== 'string' || (user !== null && typeof user !== 'string')) return null;
        return { player: sub, name: playerName(name), user };
      } catch {
        return null;
      }
    },
  };
}

/**
 * The name that a player gets from its token. Programs that sign tokens may put any text there, but clients cannot decode half of a surrogate pair, and
 * PostgreSQL cannot store a NUL.
 */
function playerName(text: string): string {
  return [...text.toWellFormed().replaceAll('\0', '')].slice(0, NAME_CHARACTERS_MAX).join('');
}

/** Returns a random id for a new player, about 50 bits. */
export function newPlayerId(): PlayerId {
  return `p-${BigInt(`0x${randomBytes(7).toString('hex')}`)
    .toString(36)
    .padStart(10, '0')
    .slice(-10)}`;
}

/** Returns a random secret of 128 bits. */
export function newSecret(): string {
  return randomBytes(16).toString('base64url');
}
