import {
  type EditableComponent,
  ENDPOINTS,
  PAGE_ROWS,
  type Page,
  type PlayerHistoryEntry,
  type PlayerSession,
  type PlayerStatus,
  type PlayerStep,
  type PlayerSummary,
} from '@millrace/contracts';
import { ApiProblem, decodeCursor, operatorOf, pageOf, type Routes } from '@millrace/http';
import { messageOf } from '@millrace/kernel';
import { firstPlayers, placeOf } from '../player-list.ts';
import { playerStatus } from '../status.ts';
import type { Placed, PlayerQuery } from '../tables/history.ts';
import type { ZoneAccess } from './zone-access.ts';

/** Queries the tables of players; rejects while the database is unavailable. */
export type QueryHistory = (query: PlayerQuery) => Promise<unknown>;

type Unlimited<Query> = Query extends unknown ? Omit<Query, 'limit'> : never;

/** Routes of players: search, live status, recorded history, changes by operators. */
export function playerRoutes(routes: Routes, zones: ZoneAccess, history: QueryHistory): void {
  const { gateway } = zones;
  routes.handle(ENDPOINTS.listPlayers, async ({ query: { find = '', flagged = false, cursor, limit = PAGE_ROWS } }) => {
    const after = cursor === undefined ? null : decodeCursor(cursor, ['number', 'string', 'string']);
    const question = { about: 'players', find: find.toLowerCase(), flagged, after, limit: limit + 1 } as const;
    const replies = await Promise.all(zones.zones.map((zone) => gateway.ask({ ...question, zone })));
    const found = replies.flatMap((answer) => (answer as PlayerSummary[] | null) ?? []);
    return pageOf(firstPlayers(found, after, limit + 1), limit, placeOf);
  });
  routes.handle(ENDPOINTS.getPlayer, async ({ params: { player } }) => {
    zones.requireOf(player);
    return (await playerStatus(gateway, player)) as PlayerStatus;
  });
  historyRoutes(routes, history);
  routes.handle(ENDPOINTS.editPlayer, ({ params: { player }, body: { fields, reason, ...body }, principal, raw }) => {
    const operator = operatorOf(principal, body);
    const component = body.component as EditableComponent;
    return zones.decide(zones.requireOf(player), { type: 'EditPlayer', player, component, fields, operator, reason }, { principal, raw });
  });
  routes.handle(ENDPOINTS.kickPlayer, ({ params: { player }, body, principal, raw }) =>
    zones.decide(
      zones.requireOf(player),
      { type: 'KickPlayer', player, operator: operatorOf(principal, body), reason: body.reason },
      { principal, raw },
    ),
  );
}

/** Recorded data of a player from the database. */
function historyRoutes(routes: Routes, history: QueryHistory): void {
  routes.handle(ENDPOINTS.listPlayerHistory, ({ params: { player }, query: { cursor, limit = PAGE_ROWS } }) =>
    historyPage<PlayerHistoryEntry>(history, limit, {
      about: 'history',
      player,
      after: cursor === undefined ? null : decodeCursor(cursor, ['number', 'string', 'number', 'number']),
    }),
  );
  routes.handle(ENDPOINTS.listPlayerSessions, ({ params: { player }, query: { cursor, limit = PAGE_ROWS } }) =>
    historyPage<PlayerSession>(history, limit, {
      about: 'sessions',
      player,
      after: cursor === undefined ? null : decodeCursor(cursor, ['number', 'string']),
    }),
  );
  routes.handle(ENDPOINTS.listPlayerSteps, ({ params: { player }, query: { from, to, order = 'desc', cursor, limit = PAGE_ROWS } }) =>
    historyPage<PlayerStep>(history, limit, {
      about: 'steps',
      player,
      from,
      to,
      order,
      after: cursor === undefined ? null : decodeCursor(cursor, ['number', 'string', 'number']),
    }),
  );
}

/**
 * A page of rows about a player.
 * @throws ApiProblem DATABASE_UNAVAILABLE
 */
async function historyPage<Row>(history: QueryHistory, limit: number, query: Unlimited<PlayerQuery>): Promise<Page<Row>> {
  try {
    const found = (await history({ ...query, limit: limit + 1 })) as Placed<Row, readonly (string | number)[]>[];
    const { data, ...rest } = pageOf(found, limit, ({ place }) => place);
    return { data: data.map(({ row }) => row), ...rest };
  } catch (error) {
    throw new ApiProblem(
      'DATABASE_UNAVAILABLE',
      `The database cannot be read: ${messageOf(error)}.`,
      'Players are not affected. Try again in a moment.',
    );
  }
}
