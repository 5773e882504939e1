import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccountStand } from '@millrace/contracts';
import { ZoneHost } from '@millrace/kernel';
import { MemoryLog, MemorySnapshots, MemorySpool, openNumbers } from '@millrace/kernel/testing';
import { systemClock } from '@millrace/platform/clock';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/platform/database';
import { ENGINES, type TestDatabase } from '@millrace/platform/database/testing';
import type { Projection } from '@millrace/platform/log';
import { Hub } from '@millrace/platform/streams';
import { PATIENCE } from '@millrace/platform/testing';
import fc from 'fast-check';
import { AccountRecords } from './account-records.ts';
import { Members } from './members.ts';
import { OwnAccounts } from './own-account.ts';
import { snapshotWorker } from './snapshots.ts';
import { users } from './tables/tables.ts';
import { publishAccount } from './user-stream.ts';
import { accountZone } from './zone.ts';

/*
 * Several servers on one database, each with a log of accounts of its own: a user must find the same account at each of them.
 */

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');

/** A server as far as accounts are concerned. Its log outlives a crash, its memory does not. */
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

  /** @param published names of the events that users' streams were told */
  constructor(name: string, database: Database, published: string[]) {
    this.#name = name;
    this.#database = database;
    this.#published = published;
    this.start();
  }

  start(): void {
    const members = new Members(this.#database);
    this.#host = new ZoneHost({
      log: this.#log,
      spool: new MemorySpool(),
      hot: new MemorySnapshots(),
      cold: new MemorySnapshots(),
      clock: systemClock,
      random: openNumbers,
      onDecided: (batch, state) =>
        publishAccount({ publish: (channel, event) => channel.startsWith('users:') && this.#published.push(event) }, batch, state),
    });
    this.#host.register(accountZone);
    const records = new AccountRecords(this.#database, this.#name);
    const parts = { host: this.#host, members, records, database: this.#database, server: this.#name };
    this.#accounts = new OwnAccounts({ ...parts, hub: this.#hub, isShared: true, onTrouble: (message) => assert.fail(message) });
    this.#worker = snapshotWorker({ ...parts, instruments: () => [] });
  }

  /** Its memory is lost; what it had decided is in its log. */
  async crash(): Promise<void> {
    await this.#host?.recorded();
    await this.#host?.close();
    this.start();
  }

  async read(user: string): Promise<AccountStand> {
    const found = await this.#accounts?.stand(user);
    assert.ok(found);
    return found;
  }

  async request(user: string, request: string): Promise<void> {
    await this.read(user);
    await this.#host?.submit(`account/${user}`, { type: 'RequestSnapshot', request });
  }

  /** Puts together every snapshot that its log asks for. @param forget as if it crashed before it could save how far it has read */
  async work(forget = false): Promise<void> {
    await this.#host?.recorded();
    const end = this.#log.batches.length;
    await this.#worker?.apply(this.#log.batches.slice(this.#read, end), []);
    if (!forget) this.#read = end;
  }

  async close(): Promise<void> {
    this.#hub.close('end of the test');
    await this.#host?.close();
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
      await new Members(database).begin();
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

    test('fault 80: after a fail-over a user finds the same account, and again when the first server is back', async (context) => {
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

    test('fault 80: whatever happens, an account is created once and its snapshot never goes back', {
      timeout: 60_000 * PATIENCE,
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
          const seen = ({ createdAt: told, snapshot }: AccountStand) => {
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
  });
