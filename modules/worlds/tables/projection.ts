import type { Player, PlayerId, WorldEvent, WorldObjects } from '@millrace/contracts';
import { type Database, marksOf, offsetsOf, saveMarks, saveOffsets, type Transaction } from '@millrace/database';
import { type EventBatch, keyOf, kindOf, lastSeqOf } from '@millrace/kernel';
import { CannotApply, type Projection, type ReadRange } from '@millrace/log';
import { inArray, sql } from 'drizzle-orm';
import { currentBatch } from '../zone/versions.ts';
import { WORLD_HISTORY, worldZone } from '../zone/zone.ts';
import { column } from './columns.ts';
import { SessionRows } from './session-rows.ts';
import { players } from './tables.ts';

type PlayerRow = typeof players.$inferSelect;

/** Rows that one group of batches adds to the tables. */
interface Rows {
  readonly movements: { zone: string; seq: number; at: number; player: string; x: number; y: number }[];
  readonly items: { zone: string; seq: number; at: number; player: string; item: string; kind: string; what: 'picked up' | 'used' }[];
  readonly changes: { zone: string; seq: number; at: number; player: string; type: string; detail: object }[];
  readonly sessions: SessionRows;
}

/**
 * Writes players, movements, items, sessions and changes from the log. Each zone has a high-water mark, so events that are read
 * twice are applied once. There is no order between zones, so a player’s row follows its newest arrival.
 */
export function worldProjection(database: Database): Projection {
  /** High-water marks; null while unknown: at first, and after a failed write, which may have been committed. */
  let marks: Map<string, number> | null = null;

  async function write(batches: readonly EventBatch[], read: readonly ReadRange[], isReplay: boolean): Promise<void> {
    marks ??= await marksOf(database, WORLD_HISTORY);
    const known = marks;
    const reached = new Map<string, number>();
    const fresh = isReplay ? batches : batches.filter((batch) => isNew(batch, known, reached));
    try {
      await database.drizzle.transaction(async (transaction) => {
        // A crash of the database may lose this commit. The offsets are lost with it, so the consumer reads the events from the log again.
        if (!isReplay) await transaction.execute(sql`set local synchronous_commit = off`);
        await saveOffsets(transaction, WORLD_HISTORY, read);
        await applyBatches(transaction, fresh, isReplay ? () => 0 : (zone) => known.get(zone) ?? 0, isReplay);
        if (!isReplay) await saveMarks(transaction, WORLD_HISTORY, reached);
      });
    } catch (error) {
      marks = null;
      throw error;
    }
    for (const [zone, seq] of reached) known.set(zone, seq);
  }

  function isNew(batch: EventBatch, known: ReadonlyMap<string, number>, reached: Map<string, number>): boolean {
    const last = lastSeqOf(batch);
    if (last <= (reached.get(batch.zone) ?? known.get(batch.zone) ?? 0)) return false;
    reached.set(batch.zone, last);
    return true;
  }

  return {
    name: WORLD_HISTORY,
    isShared: true,
    wants: (zone) => kindOf(zone) === worldZone.kind,
    offsets: async () => {
      marks = await marksOf(database, WORLD_HISTORY);
      return offsetsOf(database, WORLD_HISTORY);
    },
    apply: async (batches, read) => {
      const isReplay = read.length === 0;
      try {
        await write(batches, read, isReplay);
      } catch (error) {
        if (error instanceof CannotApply || !isAboutTheData(error)) throw error;
        // Another process may have the partitions by now.
        const unmoved = read.map(({ partition, from }) => ({ partition, from, next: from }));
        // One of the batches has data that no table accepts. Applied one by one, the others are written and that one is found.
        for (const batch of batches) {
          await write([batch], unmoved, isReplay).catch((reason) => {
            throw isAboutTheData(reason) ? new CannotApply(batch, messageFrom(reason)) : reason;
          });
        }
        throw error;
      }
    },
  };
}

/** PostgreSQL’s error classes 22 (data exception) and 23 (integrity constraint violation): a retry would fail again. */
function isAboutTheData(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return /^2[23]/.test(String(code ?? cause?.code ?? ''));
}

function messageFrom(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string } };
  return cause?.message ?? message ?? String(error);
}

async function applyBatches(
  transaction: Transaction,
  written: readonly EventBatch[],
  markOf: (zone: string) => number,
  isReplay: boolean,
): Promise<void> {
  if (written.length === 0) return;
  const batches = written.map(currentBatch);
  const ids = new Set<PlayerId>();
  for (const batch of batches) for (const id of playersIn(batch)) ids.add(id);
  const known =
    ids.size === 0
      ? []
      : await transaction
          .select()
          .from(players)
          .where(inArray(players.id, [...ids]))
          // Another process may write the same rows, by events of other partitions. The order keeps two of them from waiting for each other.
          .orderBy(players.id)
          .for('update');
  const fold = new PlayerFold(known, isReplay);
  const rows: Rows = { movements: [], items: [], changes: [], sessions: new SessionRows() };
  for (const batch of batches) {
    const zone = keyOf(batch.zone);
    const mark = markOf(batch.zone);
    if (batch.loss) fold.checkpoint(zone, batch.loss.checkpoint.state as WorldObjects, batch.time);
    for (const [index, event] of (batch.events as unknown as WorldEvent[]).entries()) {
      const seq = batch.firstSeq + index;
      if (seq <= mark) continue;
      requireSound(batch, event);
      addRows(rows, zone, seq, batch.time, event);
      fold.apply(zone, event, batch.time);
    }
  }
  await insertRows(transaction, rows);
  await savePlayers(transaction, fold);
}

function requireSound(batch: EventBatch, event: WorldEvent): void {
  if (event.type === 'PlayerMoved' && !(Number.isSafeInteger(event.x) && Number.isSafeInteger(event.y)))
    throw new CannotApply(batch, `an event PlayerMoved without a place: ${JSON.stringify(event).slice(0, 200)}`);
}

/** Every player whose row an event may touch. */
function playersIn(batch: EventBatch): PlayerId[] {
  if (batch.loss) return Object.keys((batch.loss.checkpoint.state as WorldObjects).players);
  return (batch.events as unknown as WorldEvent[]).flatMap((event): PlayerId[] => {
    switch (event.type) {
      case 'PlayerJoined':
        return [event.player.id];
      case 'PlayerDeparted':
      case 'PlayerArrived':
        return [event.handover.player.id];
      case 'ZoneRestored':
        return Object.keys(event.objects.players);
      default:
        return 'player' in event ? [event.player] : [];
    }
  });
}

function addRows(rows: Rows, zone: string, seq: number, time: number, event: WorldEvent): void {
  const change = (player: PlayerId, detail: object) => {
    rows.changes.push({ zone, seq, at: time, player, type: event.type, detail });
  };
  switch (event.type) {
    case 'PlayerJoined':
      rows.sessions.start({
        id: event.player.presence.session,
        player: event.player.id,
        at: event.player.presence.since,
        zone,
      });
      change(event.player.id, { x: event.player.position.x, y: event.player.position.y });
      return;
    case 'PlayerWoke':
      rows.sessions.start({ id: event.session, player: event.player, at: event.at, zone });
      if (event.replaced)
        rows.sessions.end({
          id: event.replaced.session,
          player: event.player,
          since: event.replaced.since,
          at: event.at,
          zone,
          reason: 'replaced',
        });
      return;
    case 'PlayerFellAsleep':
    case 'PlayerKicked': {
      const { player, ended, at } = event;
      const reason = event.type === 'PlayerKicked' ? 'kicked' : event.reason;
      rows.sessions.end({ id: ended.session, player, since: ended.since, at, zone, reason });
      if (event.type === 'PlayerKicked') change(player, { operator: event.operator, reason: event.reason });
      return;
    }
    case 'PlayerMoved':
      rows.movements.push({ zone, seq, at: event.at, player: event.player, x: event.x, y: event.y });
      return;
    case 'ItemPickedUp':
      rows.items.push({ zone, seq, at: time, player: event.player, item: event.item, kind: event.kind, what: 'picked up' });
      return;
    case 'ItemUsed':
      rows.items.push({ zone, seq, at: event.at, player: event.player, item: event.item, kind: event.kind, what: 'used' });
      return;
    case 'PlayerArrived': {
      const { player, from } = event.handover;
      rows.movements.push({ zone, seq, at: event.at, player: player.id, x: player.position.x, y: player.position.y });
      change(player.id, { from });
      return;
    }
    case 'PlayerDied':
    case 'PlayerRevived':
      change(event.player, {});
      return;
    case 'ViolationsCounted':
      change(event.player, event.counts);
      return;
    case 'PlayerEdited': {
      const { component, fields, was, operator, reason } = event;
      change(event.player, { component, fields, was, operator, reason });
      return;
    }
    case 'ZoneRestored':
      for (const id of Object.keys(event.objects.players))
        change(id, { restoredSeq: event.restoredSeq, operator: event.operator, reason: event.reason });
      return;
    default:
      return;
  }
}

/** Players’ rows, folded from events. Only the zone a player was last known to arrive in may change its row. */
class PlayerFold {
  readonly changed = new Map<PlayerId, PlayerRow>();
  readonly forgotten = new Set<PlayerId>();
  readonly #rows: Map<PlayerId, PlayerRow>;
  readonly #isReplay: boolean;

  constructor(known: readonly PlayerRow[], isReplay: boolean) {
    this.#rows = new Map(known.map((row) => [row.id, row]));
    this.#isReplay = isReplay;
  }

  checkpoint(zone: string, state: WorldObjects, time: number): void {
    for (const player of Object.values(state.players)) this.#settle(zone, player, time);
  }

  apply(zone: string, event: WorldEvent, time: number): void {
    switch (event.type) {
      case 'PlayerJoined':
        return this.#settle(zone, event.player, time);
      case 'PlayerArrived':
        return this.#settle(zone, event.handover.player, time);
      case 'PlayerWoke':
        return this.#change(zone, event.player, time, { awake: true, name: event.name });
      case 'PlayerFellAsleep':
      case 'PlayerKicked':
        return this.#change(zone, event.player, time, { awake: false });
      case 'PlayerForgotten': {
        if (this.#rows.get(event.player)?.zone !== zone) return;
        this.#rows.delete(event.player);
        this.changed.delete(event.player);
        this.forgotten.add(event.player);
        return;
      }
      case 'PlayerMoved':
        return this.#change(zone, event.player, time, { x: event.x, y: event.y });
      case 'ItemPickedUp': {
        const bag = this.#rows.get(event.player)?.bag ?? [];
        return this.#change(zone, event.player, time, { bag: [...bag, { id: event.item, item: event.kind }] });
      }
      case 'ItemUsed': {
        const bag = this.#rows.get(event.player)?.bag ?? [];
        return this.#change(zone, event.player, time, { bag: bag.filter(({ id }) => id !== event.item), health: event.health });
      }
      case 'PlayerDied':
        return this.#change(zone, event.player, time, { health: 0 });
      case 'PlayerRevived':
        return this.#change(zone, event.player, time, { x: event.x, y: event.y, health: event.health });
      case 'ViolationsCounted': {
        const before = this.#rows.get(event.player)?.violations ?? 0;
        return this.#change(zone, event.player, time, {
          violations: before + Object.values(event.counts).reduce((sum, one) => sum + one, 0),
        });
      }
      case 'PlayerEdited': {
        const { x, y, points, items } = event.fields as { x?: number; y?: number; points?: number; items?: PlayerRow['bag'] };
        return this.#change(zone, event.player, time, {
          ...(x !== undefined && { x }),
          ...(y !== undefined && { y }),
          ...(points !== undefined && { health: points }),
          ...(items !== undefined && { bag: items }),
        });
      }
      case 'ZoneRestored':
        for (const player of Object.values(event.objects.players))
          if (this.#rows.get(player.id)?.zone === zone) this.#settle(zone, player, time);
        return;
      default:
        return;
    }
  }

  #settle(zone: string, player: Player, time: number): void {
    const before = this.#rows.get(player.id);
    if (before && before.arrivedAt > time) return;
    this.#put({
      id: player.id,
      name: player.name,
      zone,
      x: player.position.x,
      y: player.position.y,
      health: player.health.points,
      awake: player.presence.session !== '',
      violations: player.violations.total,
      bag: player.bag.items,
      firstSeenAt: before?.firstSeenAt ?? time,
      arrivedAt: time,
      changedAt: time,
    });
  }

  #change(zone: string, id: PlayerId, time: number, fields: Partial<PlayerRow>): void {
    const before = this.#rows.get(id);
    if (before?.zone !== zone || time < before.arrivedAt || (this.#isReplay && time < before.changedAt)) return;
    this.#put({ ...before, ...fields, changedAt: time });
  }

  #put(row: PlayerRow): void {
    this.#rows.set(row.id, row);
    this.changed.set(row.id, row);
    this.forgotten.delete(row.id);
  }
}

async function insertRows(transaction: Transaction, { movements, items, changes, sessions }: Rows): Promise<void> {
  if (movements.length > 0)
    await transaction.execute(sql`
      insert into movements (zone, seq, at, player, x, y)
      select * from unnest(${column(movements, 'zone')}::text[], ${column(movements, 'seq')}::bigint[], ${column(movements, 'at')}::bigint[],
        ${column(movements, 'player')}::text[], ${column(movements, 'x')}::int[], ${column(movements, 'y')}::int[])
      on conflict do nothing`);
  if (items.length > 0)
    await transaction.execute(sql`
      insert into item_history (zone, seq, at, player, item, kind, what)
      select * from unnest(${column(items, 'zone')}::text[], ${column(items, 'seq')}::bigint[], ${column(items, 'at')}::bigint[],
        ${column(items, 'player')}::text[], ${column(items, 'item')}::text[], ${column(items, 'kind')}::text[], ${column(items, 'what')}::text[])
      on conflict do nothing`);
  if (changes.length > 0) {
    const details = sql.param(changes.map(({ detail }) => JSON.stringify(detail)));
    await transaction.execute(sql`
      insert into player_changes (zone, seq, at, player, type, detail)
      select zone, seq, at, player, type, detail::jsonb from unnest(${column(changes, 'zone')}::text[], ${column(changes, 'seq')}::bigint[],
        ${column(changes, 'at')}::bigint[], ${column(changes, 'player')}::text[], ${column(changes, 'type')}::text[], ${details}::text[])
        as t(zone, seq, at, player, type, detail)
      on conflict do nothing`);
  }
  await sessions.write(transaction);
}

async function savePlayers(transaction: Transaction, { changed, forgotten }: PlayerFold): Promise<void> {
  if (forgotten.size > 0) await transaction.delete(players).where(inArray(players.id, [...forgotten]));
  const rows = [...changed.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
  if (rows.length === 0) return;
  const bags = sql.param(rows.map(({ bag }) => JSON.stringify(bag)));
  await transaction.execute(sql`
    insert into players (id, name, zone, x, y, health, awake, suspicion, bag, first_seen_at, arrived_at, changed_at)
    select id, name, zone, x, y, health, awake, suspicion, bag::jsonb, first_seen_at, arrived_at, changed_at
    from unnest(${column(rows, 'id')}::text[], ${column(rows, 'name')}::text[], ${column(rows, 'zone')}::text[], ${column(rows, 'x')}::int[],
      ${column(rows, 'y')}::int[], ${column(rows, 'health')}::int[], ${column(rows, 'awake')}::boolean[], ${column(rows, 'violations')}::int[],
      ${bags}::text[], ${column(rows, 'firstSeenAt')}::bigint[], ${column(rows, 'arrivedAt')}::bigint[], ${column(rows, 'changedAt')}::bigint[])
      as t(id, name, zone, x, y, health, awake, suspicion, bag, first_seen_at, arrived_at, changed_at)
    on conflict (id) do update set name = excluded.name, zone = excluded.zone, x = excluded.x, y = excluded.y, health = excluded.health,
      awake = excluded.awake, suspicion = excluded.suspicion, bag = excluded.bag, arrived_at = excluded.arrived_at,
      changed_at = excluded.changed_at
    where players.arrived_at <= excluded.arrived_at`);
}
