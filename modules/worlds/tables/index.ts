export { allPlayers, type PlayerQuery, readPlayer } from './history.ts';
export { deleteHistoryBefore } from './history-retention.ts';
export { type OwnedPlayer, PlayerOwners } from './player-owners.ts';
export { worldProjection } from './projection.ts';
