import type { PlayerId, PlayerToken } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import { newPlayerId, type playerTokens, TOKEN_HOURS } from './gateway/tokens.ts';
import type { OwnedPlayer, PlayerOwners } from './tables/player-owners.ts';

const TOKEN_MS = TOKEN_HOURS * 3_600_000;
/** Largest number of players that an error names. */
const LISTED_MAX = 10;

export interface PlayerTokenParts {
  readonly tokens: ReturnType<typeof playerTokens>;
  /** Counts the players of each user; null without sign-in. */
  readonly owners: PlayerOwners | null;
}

interface PlayerTokenRequest {
  readonly name: string;
  /** The player that gets a new token; without it, a new player is created. */
  readonly player?: PlayerId;
  /** A valid token of that player. It proves the owner of a player that has no row in the table. */
  readonly token?: string;
}

/**
 * Returns a token for a new player, or a new token for one of the user’s players.
 * @param user who makes the request; null for a guest
 * @throws ApiProblem `TOO_MANY_PLAYERS`, or `UNKNOWN_PLAYER` when nothing proves that the player is the user’s
 */
export async function issuePlayerToken(
  { tokens, owners }: PlayerTokenParts,
  user: string | null,
  { name, player: own, token }: PlayerTokenRequest,
): Promise<PlayerToken> {
  const player = own ?? newPlayerId();
  if (own === undefined) await addPlayer(owners, user, { player, name });
  else await renewPlayer({ tokens, owners }, user, { player, name }, token);
  return { player, name, token: await tokens.issue({ player, name, user }) };
}

/** Users have a limited number of players; guests, and everyone in a demo, are limited by the rates of requests and connections only. */
async function addPlayer(owners: PlayerOwners | null, user: string | null, added: OwnedPlayer): Promise<void> {
  if (!owners || user === null) return;
  const now = Date.now();
  const owned = await owners.add(user, added, now, now + TOKEN_MS);
  if (owned) throw tooManyPlayers(owned);
}

async function renewPlayer(
  { tokens, owners }: PlayerTokenParts,
  user: string | null,
  renewed: OwnedPlayer,
  token: string | undefined,
): Promise<void> {
  const { player } = renewed;
  if (!owners || user === null)
    throw new ApiProblem('UNKNOWN_PLAYER', `Player "${player}" belongs to no user.`, 'Omit "player" to create a new player.');
  const now = Date.now();
  if (await owners.renew(user, renewed, now, now + TOKEN_MS)) return;
  if (token === undefined)
    throw new ApiProblem(
      'UNKNOWN_PLAYER',
      `Player "${player}" is not registered as yours.`,
      'If the player was made before owners were recorded, send its token as "token" while that is valid. Otherwise omit "player" to create a new player.',
    );
  const holder = await tokens.verify(token);
  if (holder?.player === player && holder.user === user) {
    const outcome = await owners.adopt(user, renewed, now, now + TOKEN_MS);
    if (outcome === 'recorded') return;
    if (outcome !== 'of-another-user') throw tooManyPlayers(outcome);
  }
  throw new ApiProblem(
    'UNKNOWN_PLAYER',
    `The token does not prove that player "${player}" is yours.`,
    'Send a valid token of this player, or omit "player" to create a new player.',
  );
}

function tooManyPlayers(owned: readonly OwnedPlayer[]): ApiProblem {
  return new ApiProblem(
    'TOO_MANY_PLAYERS',
    `The user has ${owned.length} players, the maximum: ${listed(owned)}.`,
    'Play as one of them: its id as "player" gives a new token. An administrator can raise worlds.playersPerUser.',
  );
}

function listed(players: readonly OwnedPlayer[]): string {
  const named = players.slice(0, LISTED_MAX).map(({ player, name }) => `${player} (${name})`);
  return named.join(', ') + (players.length > LISTED_MAX ? ', …' : '');
}
