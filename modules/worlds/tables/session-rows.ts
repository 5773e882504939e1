import type { Transaction } from '@millrace/database';
import { sql } from 'drizzle-orm';
import { column } from './columns.ts';

interface SessionStart {
  readonly id: string;
  readonly player: string;
  readonly at: number;
  readonly zone: string;
}

interface SessionEnd {
  readonly id: string;
  readonly player: string;
  /** Start of what ended: the session may have started again since. */
  readonly since: number;
  readonly at: number;
  readonly zone: string;
  readonly reason: string;
}

/**
 * Rows of the table `sessions` from one group of batches. A session that leaves and joins again starts again: its row has the newest start, and the end of
 * that start. There is no order between zones, so an end may be read before its start, and after a later start.
 */
export class SessionRows {
  readonly #started = new Map<string, SessionStart>();
  readonly #ended = new Map<string, SessionEnd>();

  start(start: SessionStart): void {
    const before = this.#started.get(start.id);
    if (!before || start.at >= before.at) this.#started.set(start.id, start);
  }

  end(end: SessionEnd): void {
    const before = this.#ended.get(end.id);
    if (!before || end.since >= before.since) this.#ended.set(end.id, end);
  }

  async write(transaction: Transaction): Promise<void> {
    await insertStarts(transaction, [...this.#started.values()]);
    await insertEnds(transaction, [...this.#ended.values()]);
  }
}

async function insertStarts(transaction: Transaction, started: readonly SessionStart[]): Promise<void> {
  if (started.length === 0) return;
  await transaction.execute(sql`
    insert into sessions (id, player, started_at, started_in)
    select * from unnest(${column(started, 'id')}::text[], ${column(started, 'player')}::text[], ${column(started, 'at')}::bigint[],
      ${column(started, 'zone')}::text[])
    on conflict (id) do update set started_at = excluded.started_at, started_in = excluded.started_in,
      ended_at = case when excluded.started_at = sessions.started_at then sessions.ended_at end,
      ended_in = case when excluded.started_at = sessions.started_at then sessions.ended_in end,
      reason = case when excluded.started_at = sessions.started_at then sessions.reason end
    where excluded.started_at >= sessions.started_at`);
}

async function insertEnds(transaction: Transaction, ended: readonly SessionEnd[]): Promise<void> {
  if (ended.length === 0) return;
  await transaction.execute(sql`
    insert into sessions (id, player, started_at, started_in, ended_at, ended_in, reason)
    select id, player, since, zone, at, zone, reason from unnest(${column(ended, 'id')}::text[], ${column(ended, 'player')}::text[],
      ${column(ended, 'since')}::bigint[], ${column(ended, 'at')}::bigint[], ${column(ended, 'zone')}::text[],
      ${column(ended, 'reason')}::text[]) as t(id, player, since, at, zone, reason)
    on conflict (id) do update set ended_at = excluded.ended_at, ended_in = excluded.ended_in, reason = excluded.reason,
      started_at = excluded.started_at,
      started_in = case when excluded.started_at = sessions.started_at then sessions.started_in else excluded.started_in end
    where excluded.started_at >= sessions.started_at`);
}
