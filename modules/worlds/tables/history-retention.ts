import type { Database } from '@millrace/database';
import { type SQL, sql } from 'drizzle-orm';

/** Rows deleted by one statement: few, so that the projector never waits long for its lock. */
const ROWS_PER_STATEMENT = 5_000;
/** Of these, from one zone. */
const ROWS_PER_ZONE = 1_000;
/** Statements of one call, for each table. The rest follows with the next call. */
const STATEMENTS_MAX = 500;

/**
 * Deletes the movements, items, changes and sessions of players before a time, epoch ms. An open session counts from its start. The tables of players and
 * their owners, and the log, keep what they have.
 * @param now current time, epoch ms. Events from the future have a wrong time: they are deleted with the first later event of their zone that is due.
 * @returns number of deleted rows
 */
export async function deleteHistoryBefore(database: Database, time: number, now: number): Promise<number> {
  let deleted = 0;
  const statements = [
    oldRows('movements', time, now),
    oldRows('item_history', time, now),
    oldRows('player_changes', time, now),
    oldSessions(time),
  ];
  for (const statement of statements) {
    for (let count = 0; count < STATEMENTS_MAX; count++) {
      const { rowCount } = await database.drizzle.execute(statement);
      deleted += rowCount ?? 0;
      if (!rowCount) break;
    }
  }
  return deleted;
}

/**
 * Follows the primary key from the oldest event of each zone, because no index has the time alone. Events from the future do not end the search: they are at
 * least as old as the next one that is not.
 */
function oldRows(name: 'movements' | 'item_history' | 'player_changes', time: number, now: number): SQL {
  const table = sql.identifier(name);
  return sql`
    with recursive zones (zone) as (
      (select zone from ${table} order by zone limit 1)
      union all
      select (select later.zone from ${table} later where later.zone > zones.zone order by later.zone limit 1) from zones where zones.zone is not null
    ),
    due as (
      select zones.zone, oldest.seq from zones
      cross join lateral (
        select seq, at from ${table} oldest where oldest.zone = zones.zone and oldest.at <= ${now} order by seq limit 1
      ) oldest
      where oldest.at < ${time}
    )
    delete from ${table} where (zone, seq) in (
      select row.zone, row.seq from due
      cross join lateral (
        select zone, seq, at, max(seq) filter (where at < ${time}) over () as newest_due
        from (select zone, seq, at from ${table} old where old.zone = due.zone order by seq limit ${ROWS_PER_ZONE}) old
      ) row
      where row.at < ${time} or (row.at > ${now} and row.seq < greatest(due.seq, row.newest_due)) limit ${ROWS_PER_STATEMENT}
    )`;
}

function oldSessions(time: number): SQL {
  return sql`
    delete from sessions where id in (select id from sessions where coalesce(ended_at, started_at) < ${time} limit ${ROWS_PER_STATEMENT})`;
}
