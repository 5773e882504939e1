import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '@millrace/base/clock';
import { Random } from '@millrace/base/random';
import type { Handover, PlayerHistoryEntry, WorldCommand, WorldEvent } from '@millrace/contracts';
import { connectDatabase, type Database, migrateDatabase, offsetsOf } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { type EventBatch, keyOf } from '@millrace/kernel';
import { newHost } from '@millrace/kernel/testing';
import { CannotApply, ConsumerGroup, openLmdbLog } from '@millrace/log';
import { appendTo } from '@millrace/log/testing';
import { until } from '@millrace/testing';
import { sql } from 'drizzle-orm';
import type { World } from '../zone/world-state.ts';
import { WORLD_HISTORY, worldZone } from '../zone/zone.ts';
import { allPlayers, type HistoryPlace, type PlayerQuery, readPlayer, type StepPlace } from './history.ts';
import { worldProjection } from './projection.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', '..', 'apps', 'server', 'migrations');
const plan = { seed: 7, columns: 2, rows: 1, monsters: 2, items: 200 };
const ZONES = ['world/0-0', 'world/1-0'];

/** Runs random play in two zones with manual handovers; returns the decided batches and the final states. */
async function played(seed: number, commands: number): Promise<{ batches: EventBatch[]; zones: World[] }> {
  const { host, clock, decided } = newHost([worldZone]);
  const random = new Random(seed);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random.next() * of.length)] as T;
  for (const zone of ZONES) {
    const opening = host.open(zone);
    await clock.settle();
    await opening;
    host.send(zone, { type: 'CreateZone', plan });
  }
  const where = new Map<string, string>();
  const n = new Map<string, number>();
  const players = ['a', 'b', 'c', 'd', 'e'];
  for (const [index, id] of players.entries()) where.set(id, ZONES[index % 2] as string);
  for (let count = 0; count < commands; count++) {
    clock.jump(Math.floor(random.next() * 40));
    const id = pick(players);
    const zone = where.get(id) as string;
    const player = (host.view(zone)?.state as World).players[id];
    const session = player?.presence.session ?? '';
    const next = (n.get(id) ?? 0) + 1;
    n.set(id, next);
    const x = Math.floor(random.next() * 2 * 6_400);
    const step = { dx: Math.floor(random.next() * 300) - 150, dy: Math.floor(random.next() * 300) - 150 };
    const command = ((): WorldCommand => {
      if (!player) return { type: 'JoinZone', player: id, name: id.toUpperCase(), session: `${id}${next}`, isNew: true };
      const roll = random.next();
      if (session === '' || roll < 0.05)
        return { type: 'JoinZone', player: id, name: id.toUpperCase(), session: `${id}${next}`, isNew: false };
      if (roll < 0.1) return { type: 'LeaveZone', player: id, session, reason: 'left' };
      if (roll < 0.12) return { type: 'KickPlayer', player: id, operator: 'kim', reason: 'x' };
      if (roll < 0.2)
        return {
          type: 'EditPlayer',
          player: id,
          component: 'position',
          fields: { x: zone === ZONES[0] ? 6_350 : 6_450, y: 150 },
          operator: 'kim',
          reason: 'x',
        };
      if (roll < 0.25)
        return {
          type: 'EditPlayer',
          player: id,
          component: 'health',
          fields: { points: Math.floor(random.next() * 3) * 50 },
          operator: 'kim',
          reason: 'x',
        };
      if (roll < 0.3) return { type: 'CountViolations', player: id, counts: { TELEPORT: 1 } };
      if (roll < 0.4) return { type: 'PickUp', player: id, session, n: next, item: nearest(host.view(zone)?.state as World, id) };
      if (roll < 0.5) return { type: 'Use', player: id, session, n: next, item: player.bag.items[0]?.id ?? 'none' };
      if (roll < 0.7) return { type: 'Move', player: id, session, n: next, x: zone === ZONES[0] ? 6_420 : 6_380, y: player.position.y };
      return {
        type: 'Move',
        player: id,
        session,
        n: next,
        x: Math.max(0, Math.min(x, player.position.x + step.dx)),
        y: Math.max(0, player.position.y + step.dy),
      };
    })();
    const before = decided.length;
    host.send(zone, command);
    await clock.settle();
    for (const batch of decided.slice(before))
      for (const event of batch.events as unknown as WorldEvent[])
        if (event.type === 'PlayerDeparted') {
          await clock.advance(5);
          await handOver(event.handover);
        }
  }
  await clock.advance(10_000);

  async function handOver(handover: Handover): Promise<void> {
    host.send(`world/${handover.to}`, { type: 'AdmitPlayer', handover });
    where.set(handover.player.id, `world/${handover.to}`);
    await clock.settle();
    clock.jump(2);
    host.send(`world/${handover.from}`, { type: 'ConfirmHandover', player: handover.player.id, to: handover.to, number: handover.number });
    await clock.settle();
  }
  return { batches: decided, zones: ZONES.map((zone) => host.view(zone)?.state as World) };
}

function nearest(state: World, id: string): string {
  const { position } = state.players[id] ?? { position: { x: 0, y: 0 } };
  const items = Object.values(state.items).map((item) => ({
    id: item.id,
    far: Math.hypot(item.position.x - position.x, item.position.y - position.y),
  }));
  return items.sort((one, other) => one.far - other.far)[0]?.id ?? 'none';
}

function truthOf(zones: readonly World[]): object[] {
  return zones
    .flatMap((zone) => Object.values(zone.players).map((player) => ({ zone: zone.zone, player })))
    .map(({ zone, player }) => ({
      id: player.id,
      zone,
      x: player.position.x,
      y: player.position.y,
      health: player.health.points,
      awake: player.presence.session !== '',
      violations: player.violations.total,
      bag: player.bag.items,
    }))
    .sort((one, other) => (one.id < other.id ? -1 : 1));
}

for (const engine of ENGINES)
  describe(`the world’s tables on ${engine.name}`, () => {
    let running: TestDatabase;
    let database: Database;
    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await migrateDatabase(database, MIGRATIONS);
    });
    after(async () => {
      await database.close();
      await running.close();
    });
    const clear = () =>
      database.drizzle.execute(
        sql`truncate projection_marks, projection_offsets, players, movements, item_history, sessions, player_changes`,
      );
    const isBlocked = async () => {
      const { rows: found } = await database.drizzle.execute(sql`select from pg_stat_activity where wait_event_type = 'Lock'`);
      return found.length > 0;
    };
    const rows = async () =>
      (await allPlayers(database))
        .map(({ id, zone, x, y, health, awake, violations, bag }) => ({ id, zone, x, y, health, awake, violations, bag }))
        .sort((one, other) => (one.id < other.id ? -1 : 1));

    test('equal the states of the zones, however their events are interleaved, split, and read again', async () => {
      for (let seed = 1; seed <= (process.env.TEST_QUICK ? 2 : 4); seed++) {
        await clear();
        const { batches, zones } = await played(seed, 300);
        const random = new Random(seed);
        let projection = worldProjection(database);
        await projection.offsets();
        const next = [0, 0];
        const lanes = ZONES.map((zone) => batches.filter((batch) => batch.zone === zone));
        assert.ok(
          batches.some((batch) => batch.events.some(({ type }) => type === 'PlayerArrived')),
          'a player crosses',
        );
        while (lanes.some((lane, index) => (next[index] ?? 0) < lane.length)) {
          const lane = random.next() < 0.5 ? 0 : 1;
          const from = Math.max(0, (next[lane] ?? 0) - Math.floor(random.next() * 4));
          const to = Math.min((lanes[lane] ?? []).length, (next[lane] ?? 0) + 1 + Math.floor(random.next() * 30));
          await projection.apply((lanes[lane] ?? []).slice(from, to), [{ partition: lane, from: next[lane] ?? 0, next: to }]);
          next[lane] = to;
          if (random.next() < 0.1) {
            projection = worldProjection(database);
            assert.deepEqual(
              [...(await projection.offsets())].sort(),
              next.map((offset, partition) => [partition, offset]).filter(([, offset]) => offset !== 0),
            );
          }
        }
        assert.deepEqual(await rows(), truthOf(zones));
        const steps = batches
          .flatMap((batch) => batch.events)
          .filter(({ type }) => type === 'PlayerMoved' || type === 'PlayerArrived').length;
        const [counted] = (await database.drizzle.execute(sql`select count(*)::int as n from movements`)).rows as { n: number }[];
        assert.equal(counted?.n, steps);
        const [open] = (await database.drizzle.execute(sql`select count(*)::int as n from sessions where ended_at is null`)).rows as {
          n: number;
        }[];
        assert.equal(
          open?.n,
          zones.reduce((sum, { awake }) => sum + awake, 0),
        );
      }
    });

    test('tell what the zones are, when two processes apply the events of different partitions at the same time', async () => {
      for (const seed of [21, 22, 23]) {
        await clear();
        const { batches, zones } = await played(seed, 200);
        const names = [...new Set(batches.map(({ zone }) => zone))];
        const apply = async (partition: number) => {
          const projection = worldProjection(database);
          let from = 0;
          for (const batch of batches.filter(({ zone }) => names.indexOf(zone) % 2 === partition)) {
            const read = [{ partition, from, next: from + batch.events.length }];
            await projection.apply([batch], read);
            from += batch.events.length;
          }
        };
        await Promise.all([apply(0), apply(1)]);
        assert.deepEqual(await rows(), truthOf(zones), `seed ${seed}`);
      }
    });

    /** Applies a batch of the first zone while another process writes the row of a player who has arrived in the second. @returns zones by player */
    async function applyDuring(batch: EventBatch, write: (transaction: Pick<Database['drizzle'], 'execute'>) => Promise<unknown>) {
      let applying: Promise<void> = Promise.resolve();
      await database.drizzle.transaction(async (transaction) => {
        await write(transaction);
        applying = worldProjection(database).apply([batch], [{ partition: 0, from: 0, next: 1 }]);
        // The embedded engine runs one transaction after the other.
        if (engine.name === 'PostgreSQL') await until(isBlocked, 'it waits for the row');
      });
      await applying;
      return new Map((await allPlayers(database)).map(({ id, zone }) => [id, zone]));
    }
    const [former = '', next = ''] = ZONES.map(keyOf);
    const insertPlayer = (id: string, zone: string, arrivedAt: number) => sql`
      insert into players (id, name, zone, x, y, health, awake, suspicion, bag, first_seen_at, arrived_at, changed_at)
      values (${id}, 'p', ${zone}, 0, 0, 100, true, 0, '[]', 1, ${arrivedAt}, ${arrivedAt})`;

    test('keep a player whose arrival another process writes while the former zone forgets them', async () => {
      await clear();
      await database.drizzle.execute(insertPlayer('p', former, 1));
      const events = [{ type: 'PlayerForgotten', player: 'p' }];
      const batch = { zone: ZONES[0] ?? '', epoch: 1, firstSeq: 1, version: worldZone.version, time: 9, events, metas: null };
      const zones = await applyDuring(batch, (transaction) =>
        transaction.execute(sql`update players set zone = ${next}, arrived_at = 5 where id = 'p'`),
      );
      assert.deepEqual([...zones], [['p', next]]);
    });

    test('keep the newest arrival of a player whom two processes write for the first time', async () => {
      await clear();
      const { batches } = await played(21, 60);
      const joinedIn = (batch: EventBatch) => (batch.events as unknown as WorldEvent[]).find((event) => event.type === 'PlayerJoined');
      const batch = batches.find((one) => one.zone === ZONES[0] && joinedIn(one)) as EventBatch;
      const { id } = (joinedIn(batch) as WorldEvent & { type: 'PlayerJoined' }).player;
      const zones = await applyDuring(batch, (transaction) => transaction.execute(insertPlayer(id, next, batch.time + 1)));
      assert.equal(zones.get(id), next);
    });

    // The embedded engine is part of this process here.
    const testCrash = engine.name === 'PGlite' ? () => {} : test;
    testCrash('fault 42: have every event once, whatever a crash of the database has lost', async () => {
      await clear();
      const { batches, zones } = await played(11, 300);
      const folder = mkdtempSync(join(tmpdir(), 'millrace-tables-'));
      const log = openLmdbLog(folder);
      const consumer = new ConsumerGroup(log, worldProjection(database), systemClock);
      await consumer.start();
      let lost = 0;
      for (const part of [batches.slice(0, 100), batches.slice(100, 200), batches.slice(200)]) {
        await appendTo(log, part);
        await consumer.caughtUp();
        const before = await offsetsOf(database, WORLD_HISTORY);
        await running.crash();
        const after = await offsetsOf(database, WORLD_HISTORY);
        for (const [partition, next] of before) lost += next - (after.get(partition) ?? 0);
      }
      assert.ok(lost > 0, 'a crash has lost something');
      const truth = truthOf(zones);
      await until(async () => isDeepStrictEqual(await rows(), truth), 'the tables say what the zones are');
      const steps = batches.flatMap((batch) => batch.events).filter(({ type }) => type === 'PlayerMoved' || type === 'PlayerArrived');
      const [counted] = (await database.drizzle.execute(sql`select count(*)::int as n from movements`)).rows as { n: number }[];
      assert.equal(counted?.n, steps.length);
      await consumer.stop();
      await log.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const queries = [
      { about: 'history', player: 'a', after: null },
      { about: 'sessions', player: 'a', after: null },
      { about: 'steps', player: 'a', from: 0, to: Number.MAX_SAFE_INTEGER, order: 'asc', after: null },
      { about: 'steps', player: 'a', from: 0, to: Number.MAX_SAFE_INTEGER, order: 'desc', after: null },
    ] as const;
    describe('after a history', () => {
      before(async () => {
        await clear();
        const { batches } = await played(4, 300);
        await worldProjection(database).apply(batches, [{ partition: 0, from: 0, next: batches.length }]);
      });
      for (const query of queries)
        test(`list a player’s ${query.about}${'order' in query ? ` (${query.order})` : ''} page by page, each row once`, async () => {
          const all = await readPlayer(database, { ...query, limit: 1_000 });
          assert.ok(all.length > 0 && all.length < 1_000, `${all.length} rows`);
          const paged: typeof all = [];
          for (let after: HistoryPlace | StepPlace | null = null; ; ) {
            const page = await readPlayer(database, { ...query, after, limit: 3 } as PlayerQuery);
            paged.push(...page);
            if (page.length < 3) break;
            after = page.at(-1)?.place as HistoryPlace;
          }
          assert.deepEqual(paged, all);
        });

      test('name the operator of an edit in a player’s history', async () => {
        const history = await readPlayer(database, { about: 'history', player: 'a', after: null, limit: 1_000 });
        const edits = history.map(({ row }) => row as PlayerHistoryEntry).filter(({ type }) => type === 'PlayerEdited');
        assert.ok(edits.some(({ detail }) => detail.operator === 'kim'));
      });
    });

    test('name the one batch that no table accepts, and accept it once it is repaired', async () => {
      await clear();
      const { batches } = await played(9, 60);
      const projection = worldProjection(database);
      await projection.offsets();
      const joined = batches.findIndex((batch) => batch.events.some(({ type }) => type === 'PlayerMoved'));
      const sick = structuredClone(batches[joined] as EventBatch);
      const moved = (sick.events as unknown as { type: string; player: string }[]).find(({ type }) => type === 'PlayerMoved');
      if (moved) moved.player = 'nul\u0000byte';
      const group = batches.with(joined, sick);
      await assert.rejects(
        projection.apply(group, [{ partition: 0, from: 0, next: 1 }]),
        (error) => error instanceof CannotApply && error.batch === sick,
      );
      await projection.apply(
        group.filter((batch) => batch !== sick),
        [{ partition: 0, from: 0, next: 1 }],
      );
      await projection.apply([batches[joined] as EventBatch], []);
      const [counted] = (await database.drizzle.execute(sql`select count(*)::int as n from movements`)).rows as { n: number }[];
      assert.equal(
        counted?.n,
        batches.flatMap((batch) => batch.events).filter(({ type }) => type === 'PlayerMoved' || type === 'PlayerArrived').length,
      );
    });
  });
