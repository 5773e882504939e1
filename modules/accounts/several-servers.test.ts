import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import type { AccountStatus } from '@millrace/contracts';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { ZoneHost } from '@millrace/kernel';
import { MemoryLog, MemorySnapshots, MemorySpools, openNumbers } from '@millrace/kernel/testing';
import type { Projection } from '@millrace/log';
import { Hub } from '@millrace/streams';
import { TIME_FACTOR, until } from '@millrace/testing';
import { Zones } from '@millrace/topics';
import { eq } from 'drizzle-orm';
import fc from 'fast-check';
import { AccountRecords } from './account-records.ts';
import { OwnAccounts } from './own-account.ts';
import { snapshotWorker } from './snapshots.ts';
import { accountSnapshots, users } from './tables/tables.ts';
import { UserStore } from './user-store.ts';
import { publishAccount } from './user-stream.ts';
import { type AccountCommand, type AccountState, accountZone } from './zone.ts';

/*
 * Several servers on one database, each with its own log of accounts: a user must see the same account on each of them.
 */

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');

/** The accounts part of a server. Its log survives a crash, its memory does not. */
class Server {
  readonly #name: string;
  readonly #database: Database;
  readonly #log = new MemoryLog();
  readonly #published: string[];
  readonly #hub = new Hub({ clock: systemClock, epoch: 'e', historyEvents: 10, initial: () => [] });
  #host: ZoneHost | null = null;
  #accounts: OwnAccounts | null = null;
  #worker: Projection | null = null;
  #read = 0;

  /** @param published names of the events that were published to users */
  constructor(name: string, database: Database, published: string[]) {
    this.#name = name;
    this.#database = database;
    this.#published = published;
    this.start();
  }

  start(): void {
    const userStore = new UserStore(this.#database);
    const host = new ZoneHost({
      log: this.#log,
      spools: new MemorySpools(),
      hot: new MemorySnapshots(),
      cold: new MemorySnapshots(),
      clock: systemClock,
      random: openNumbers,
      onDecided: (batch, state) =>
        publishAccount(
          { publish: (channel, event) => channel.startsWith('users:') && this.#published.push(event) },
          batch,
          state as AccountState,
        ),
    });
    host.register(accountZone);
    this.#host = host;
    const zones = new Zones<AccountState, AccountCommand>(accountZone, { name: 'accounts', host, onDecided: () => {} });
    const records = new AccountRecords(this.#database, this.#name);
    const parts = { host, zones, userStore, records, database: this.#database, server: this.#name };
    this.#accounts = new OwnAccounts({ ...parts, hub: this.#hub, isShared: true, onFailure: (message) => assert.fail(message) });
    this.#worker = snapshotWorker({ ...parts, instruments: () => [] });
  }

  /** Crashes: memory is lost, the log remains. */
  async crash(): Promise<void> {
    await this.#host?.recorded();
    await this.#host?.close();
    this.start();
  }

  async read(user: string): Promise<AccountStatus> {
    const found = await this.#accounts?.status(user);
    assert.ok(found);
    return found;
  }

  async request(user: string, request: string): Promise<void> {
    await this.read(user);
    await this.#host?.submit(`account/${user}`, { type: 'RequestSnapshot', request });
  }

  /** Generates all requested snapshots. @param forget as if it crashed before it stored its offset */
  async work(forget = false): Promise<void> {
    await this.#host?.recorded();
    const end = this.#log.batches.length;
    await this.#worker?.apply(this.#log.batches.slice(this.#read, end), []);
    if (!forget) this.#read = end;
  }

  /** Offset of the worker. It is in the relational store, so a restore of that sets it back. */
  get offset(): number {
    return this.#read;
  }

  set offset(read: number) {
    this.#read = read;
  }

  async close(): Promise<void> {
    this.#hub.close('end of the test');
    await this.#host?.close();
  }
}

/** The rows of one account in the relational store. */
class AccountBackup {
  readonly #database: Database;
  readonly #servers: readonly Server[];
  readonly #user: string;
  #row: typeof accountSnapshots.$inferSelect | undefined;
  #offsets: number[] = [];

  constructor(database: Database, servers: readonly Server[], user: string) {
    this.#database = database;
    this.#servers = servers;
    this.#user = user;
  }

  async take(): Promise<void> {
    this.#row = await this.row();
    this.#offsets = this.#servers.map(({ offset }) => offset);
  }

  async restore(): Promise<void> {
    await this.#database.drizzle.delete(accountSnapshots).where(eq(accountSnapshots.userId, this.#user));
    if (this.#row) await this.#database.drizzle.insert(accountSnapshots).values(this.#row);
    for (const [index, server] of this.#servers.entries()) server.offset = this.#offsets[index] ?? 0;
  }

  async row(): Promise<typeof accountSnapshots.$inferSelect | undefined> {
    const [row] = await this.#database.drizzle.select().from(accountSnapshots).where(eq(accountSnapshots.userId, this.#user));
    return row;
  }
}

type Step = { server: number; action: 'read' | 'request' | 'work' | 'work twice' | 'crash' } | { action: 'both read' };

for (const engine of ENGINES)
  describe(`accounts of several servers on ${engine.name}`, () => {
    let running: TestDatabase;
    let database: Database;
    let made = 0;
    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await migrateDatabase(database, MIGRATIONS);
      await new UserStore(database).createHomeTenant();
    });
    after(async () => {
      await database.close();
      await running.close();
    });
    const newUser = async () => {
      const id = `user-${++made}`;
      const createdAt = new Date(1_000_000 + made);
      await database.drizzle
        .insert(users)
        .values({ id, name: id, email: `${id}@example.com`, tenant: 'main', role: 'viewer', createdAt, updatedAt: createdAt });
      return { id, createdAt: createdAt.getTime() };
    };

    test('fault 80: after a failover a user finds the same account, also when the first server returns', async (context) => {
      const published: string[] = [];
      const { id, createdAt } = await newUser();
      const [one, two] = [new Server('one', database, published), new Server('two', database, published)];
      context.after(() => Promise.all([one.close(), two.close()]));
      await one.read(id);
      await one.work();
      const before = await one.read(id);
      assert.equal(before.snapshot?.request, 'first');
      const after = await two.read(id);
      assert.deepEqual([after.createdAt, after.snapshot], [createdAt, before.snapshot]);
      await two.request(id, 'second');
      await two.work();
      await one.crash();
      const back = await one.read(id);
      assert.deepEqual([back.createdAt, back.snapshot?.request], [createdAt, 'second']);
      assert.equal(published.filter((event) => event === 'account.created').length, 1);
    });

    test('fault 80: with random faults, an account is created once and its snapshot never goes back', {
      timeout: 60_000 * TIME_FACTOR,
    }, async (context) => {
      const open: Server[] = [];
      context.after(() => Promise.all(open.map((each) => each.close())));
      const server = fc.integer({ min: 0, max: 2 });
      const step: fc.Arbitrary<Step> = fc.oneof(
        fc.record({ server, action: fc.constantFrom('read', 'request', 'work', 'work twice', 'crash') }),
        fc.constant({ action: 'both read' } as const),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
          const published: string[] = [];
          const { id, createdAt } = await newUser();
          const servers = ['a', 'b', 'c'].map((name) => new Server(name, database, published));
          open.push(...servers);
          const at = (index: number) => servers[index] as Server;
          let newest = 0;
          const seen = ({ createdAt: told, snapshot }: AccountStatus) => {
            assert.equal(told, createdAt);
            assert.ok((snapshot?.revision ?? 0) >= newest, `revision ${snapshot?.revision} after ${newest}`);
            newest = snapshot?.revision ?? 0;
          };
          let requests = 0;
          for (const step of steps) {
            if (step.action === 'both read') {
              const found = await Promise.all([at(0).read(id), at(1).read(id)]);
              for (const each of found) seen(each);
            } else if (step.action === 'read') seen(await at(step.server).read(id));
            else if (step.action === 'request') await at(step.server).request(id, `request-${++requests}`);
            else if (step.action === 'work') await at(step.server).work();
            else if (step.action === 'work twice') await at(step.server).work(true);
            else await at(step.server).crash();
          }
          for (const each of servers) await each.read(id);
          for (const each of servers) await each.work();
          const last = await Promise.all(servers.map((each) => each.read(id)));
          for (const each of last) seen(each);
          for (const { snapshot } of last) assert.deepEqual(snapshot, last[0]?.snapshot);
          assert.ok(newest > 0);
          assert.deepEqual(
            last.map(({ underWay }) => underWay),
            [null, null, null],
          );
          assert.equal(published.filter((event) => event === 'account.created').length, 1);
        }),
        { numRuns: 15, endOnFailure: true },
      );
    });

    /** A user known to two servers, and a backup of the user’s rows. */
    async function withBackup(context: TestContext) {
      const { id } = await newUser();
      const servers = [new Server('one', database, []), new Server('two', database, [])] as const;
      const [one, two] = servers;
      context.after(() => Promise.all(servers.map((each) => each.close())));
      await one.read(id);
      await one.work();
      await one.read(id);
      await two.read(id);
      const backup = new AccountBackup(database, servers, id);
      await backup.take();
      return { id, one, two, backup };
    }

    test('fault 80: after a restore of an older backup, the newest snapshot that a server knows is recorded again at the first request there', async (context) => {
      const { id, one, two, backup } = await withBackup(context);
      await one.request(id, 'second');
      await one.work();
      await one.request(id, 'third');
      await one.work();
      const newest = (await one.read(id)).snapshot;
      assert.deepEqual([newest?.request, newest?.revision], ['third', 3]);
      await backup.restore();
      assert.deepEqual((await one.read(id)).snapshot, newest);
      const row = await backup.row();
      assert.deepEqual([row?.request, row?.revision], ['third', 3]);
      assert.deepEqual((await two.read(id)).snapshot, newest);
      // The worker reads the requests since the backup again. Its snapshots are newer than all before.
      await one.work();
      const last = (await one.read(id)).snapshot;
      assert.ok((last?.revision ?? 0) >= 3);
      assert.deepEqual((await two.read(id)).snapshot, last);
    });

    test('fault 80: two servers that gave one revision to different snapshots after a restore agree on the one generated later', async (context) => {
      const { id, one, two, backup } = await withBackup(context);
      await one.request(id, 'before the restore');
      await one.work();
      const older = (await one.read(id)).snapshot;
      await backup.restore();
      one.offset = Number.POSITIVE_INFINITY;
      await until(() => Date.now() > (older?.generatedAt ?? 0), 'a later millisecond');
      await two.request(id, 'after the restore');
      await two.work();
      const newer = (await two.read(id)).snapshot;
      assert.equal(newer?.revision, older?.revision);
      assert.deepEqual((await one.read(id)).snapshot, newer);
      assert.deepEqual((await two.read(id)).snapshot, newer);
    });

    test('fault 80: with random restores, no server goes back and all converge on the newest snapshot', {
      timeout: 60_000,
    }, async (context) => {
      const open: Server[] = [];
      context.after(() => Promise.all(open.map((each) => each.close())));
      const server = fc.integer({ min: 0, max: 1 });
      type RestoreStep = {
        server: number;
        action: 'read' | 'request' | 'work' | 'work twice' | 'crash' | 'both read' | 'back up' | 'restore';
      };
      const step: fc.Arbitrary<RestoreStep> = fc.record({
        server,
        action: fc.constantFrom(
          'read',
          'request',
          'request',
          'request',
          'work',
          'work',
          'work',
          'work twice',
          'crash',
          'both read',
          'back up',
          'restore',
          'restore',
        ),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 24, size: 'max' }), async (steps) => {
          const { id } = await newUser();
          const servers = ['a', 'b'].map((name) => new Server(name, database, []));
          open.push(...servers);
          const known = [0, 0];
          const read = async (index: number) => {
            const { snapshot } = await (servers[index] as Server).read(id);
            const revision = snapshot?.revision ?? 0;
            assert.ok(revision >= (known[index] ?? 0), `server ${index}: revision ${revision} after ${known[index]}`);
            known[index] = revision;
            const row = await backup.row();
            if (snapshot) assert.ok((row?.revision ?? 0) >= revision, `the table has revision ${row?.revision}, the server ${revision}`);
            return snapshot;
          };
          const backup = new AccountBackup(database, servers, id);
          await read(0);
          await servers[0]?.work();
          await read(0);
          await read(1);
          await backup.take();
          let requests = 0;
          for (const { server: index, action } of steps) {
            const at = servers[index] as Server;
            if (action === 'read') await read(index);
            else if (action === 'both read') await Promise.all([at.read(id), (servers[1 - index] as Server).read(id)]);
            else if (action === 'request') await at.request(id, `request-${++requests}`);
            else if (action === 'work') await at.work();
            else if (action === 'work twice') await at.work(true);
            else if (action === 'crash') await at.crash();
            else if (action === 'back up') await backup.take();
            else await backup.restore();
          }
          // Requests first, so that each server has adopted the newest record; then their responses are compared.
          for (const index of [0, 1]) await read(index);
          for (const each of servers) await each.work();
          const last = [await read(0), await read(1), await read(0)];
          for (const snapshot of last.slice(1)) assert.deepEqual(snapshot, last[1]);
          assert.equal(last[1]?.revision, Math.max(...known));
        }),
        { numRuns: 12, endOnFailure: true },
      );
    });
  });
