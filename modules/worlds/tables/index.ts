export { allPlayers, historyOf, stepsOf } from './history.ts';
export { worldProjection } from './projection.ts';
