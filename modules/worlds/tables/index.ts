export { allPlayers, type PlayerQuery, readPlayer } from './history.ts';
export { type OwnedPlayer, PlayerOwners } from './player-owners.ts';
export { worldProjection } from './projection.ts';
