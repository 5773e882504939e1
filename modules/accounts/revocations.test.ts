import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { ManualClock } from '@millrace/kernel/testing';
import { until } from '@millrace/testing';
import { eq } from 'drizzle-orm';
import { type Identification, openIdentification } from './identification.ts';
import { createIdentity } from './identity.ts';
import { joining } from './joining.ts';
import { passwordsWith } from './passwords.ts';
import { users as userTable } from './tables/tables.ts';
import { UserStore } from './user-store.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');
const BASE_URL = 'http://localhost:7420';

for (const engine of ENGINES)
  describe(`revocations on ${engine.name}`, () => {
    let running: TestDatabase;
    let database: Database;
    let userStore: UserStore;
    let identity: ReturnType<typeof createIdentity>;
    const open: Identification[] = [];
    let users = 0;

    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await migrateDatabase(database, MIGRATIONS);
      userStore = new UserStore(database);
      await userStore.createHomeTenant();
      identity = createIdentity({
        database,
        secret: 'identity secret of the test',
        passwords: passwordsWith('pepper'),
        sessionHours: 1,
        baseUrl: BASE_URL,
        mailer: null,
        providers: [],
        isOpen: false,
        onReset: async () => {},
        current: userStore,
        onCreated: () => {},
        onFailure: () => {},
      });
    });
    after(async () => {
      for (const one of open) one.close();
      await database.close();
      await running.close();
    });

    /** A server of the installation, or a gateway, that no other one sends anything to, as while Redis is unavailable. */
    async function startServer(ended: unknown[] = [], tables: Database = database): Promise<Identification & { clock: ManualClock }> {
      const clock = new ManualClock(Date.now());
      const started = openIdentification(
        {
          database: tables,
          clock,
          secret: async (name) => (name === 'identity' ? 'identity secret of the test' : 'pepper'),
          sessionHours: 1,
          twoFactorRequired: false,
          guests: [],
          isShared: true,
          onEnded: (whose) => ended.push(whose),
          others: () => ({ publish: () => {}, close: () => {} }),
          onFailure: () => {},
        },
        BASE_URL,
      );
      open.push(started);
      await started.begin();
      return { ...started, clock };
    }

    async function newUser(): Promise<{ user: string; token: string; session: string; headers: { authorization: string } }> {
      const email = `user-${++users}@example.com`;
      const made = await joining.run({ tenant: 'main', role: 'admin', verified: true }, () =>
        identity.api.signUpEmail({
          body: { name: `User ${users}`, email, password: 'a mill turns while water runs' },
          returnHeaders: true,
        }),
      );
      const cookie = made.headers
        .getSetCookie()
        .map((line) => line.split(';')[0])
        .join('; ');
      const { token } = await identity.api.getToken({ headers: new Headers({ cookie }) });
      const [session] = await userStore.sessions(made.response.user.id, null);
      return { user: made.response.user.id, token, session: session?.id ?? '', headers: { authorization: `Bearer ${token}` } };
    }

    const remote = '127.0.0.1';
    const revoked = { code: 'INVALID_TOKEN' };
    /** Lets a server look into the database as often as it takes; fails when it never refuses. */
    async function refuses(server: Awaited<ReturnType<typeof startServer>>, headers: { authorization: string }): Promise<void> {
      let code: string | undefined;
      await until(async () => {
        await server.clock.advance(1_000);
        code = await Promise.resolve()
          .then(() => server.identify({ headers, remote }))
          .then(
            () => undefined,
            (error) => String(error.code),
          );
        return code !== undefined;
      }, 'the revoked token is refused');
      assert.equal(code, revoked.code);
    }

    test('fault 72: a token that was revoked stays revoked for a server that starts afterwards', async () => {
      const [disabled, signedOut, kept] = [await newUser(), await newUser(), await newUser()];
      await database.drizzle.transaction((transaction) => userStore.updateUser('main', disabled.user, { disabled: true }, transaction));
      await userStore.deleteSession(signedOut.user, signedOut.session, database.drizzle);
      const server = await startServer();
      for (const { headers } of [disabled, signedOut]) await assert.rejects(async () => server.identify({ headers, remote }), revoked);
      assert.equal((await server.identify({ headers: kept.headers, remote })).user, kept.user);
    });

    test('fault 71: a server without a notification reads the revocation, and ends open connections', async () => {
      const [disabled, demoted, signedOut] = [await newUser(), await newUser(), await newUser()];
      const ended: unknown[] = [];
      const server = await startServer(ended);
      for (const { headers, user } of [disabled, demoted, signedOut]) assert.equal((await server.identify({ headers, remote })).user, user);
      await database.drizzle.transaction((transaction) => userStore.updateUser('main', disabled.user, { disabled: true }, transaction));
      await database.drizzle.transaction((transaction) => userStore.updateUser('main', demoted.user, { role: 'viewer' }, transaction));
      await userStore.deleteSession(signedOut.user, signedOut.session, database.drizzle);
      for (const { headers } of [disabled, demoted, signedOut]) await refuses(server, headers);
      for (const whose of [{ user: disabled.user }, { user: demoted.user }, { credential: signedOut.session }])
        assert.ok(
          ended.some((one) => JSON.stringify(one) === JSON.stringify(whose)),
          JSON.stringify(whose),
        );
    });

    test('fault 71: if the database is unreadable for longer than the cache time, no revocable credential is accepted', async () => {
      const { headers, user } = await newUser();
      let isUnreachable = false;
      const server = await startServer([], {
        get drizzle() {
          if (isUnreachable) throw new Error('the database cannot be reached');
          return database.drizzle;
        },
        stopping: () => {},
        isUnresponsive: false,
        close: async () => {},
      });
      // Keys and tiers are cached from here on.
      await server.identify({ headers, remote });
      isUnreachable = true;
      await server.clock.advance(9_000);
      assert.equal((await server.identify({ headers, remote })).user, user);
      await database.drizzle.transaction((transaction) => userStore.updateUser('main', user, { disabled: true }, transaction));
      await server.clock.advance(2_000);
      await assert.rejects(async () => server.identify({ headers, remote }), { code: 'DATABASE_UNAVAILABLE' });
      assert.equal((await server.identify({ headers: {}, remote })).kind, 'anonymous');
      isUnreachable = false;
      const codes: string[] = [];
      await until(async () => {
        await server.clock.advance(1_000);
        const code = await Promise.resolve()
          .then(() => server.identify({ headers, remote }))
          .then(
            () => 'ACCEPTED',
            (error) => String(error.code),
          );
        codes.push(code);
        return code !== 'DATABASE_UNAVAILABLE';
      }, 'the server has caught up');
      assert.equal(codes.at(-1), revoked.code);
    });

    // An embedded database runs one transaction at a time.
    const testWithSessions = engine.name === 'PGlite' ? () => {} : test;
    testWithSessions('fault 71: a revocation is seen whose transaction ends after that of a later one', async () => {
      const [first, second] = [await newUser(), await newUser()];
      const server = await startServer();
      let commit: () => void = () => {};
      const isHeld = new Promise<void>((resolve) => {
        commit = resolve;
      });
      await new Promise<void>((written, failed) => {
        void database.drizzle
          .transaction(async (transaction) => {
            await transaction.update(userTable).set({ disabled: true }).where(eq(userTable.id, first.user));
            written();
            await isHeld;
          })
          .catch(failed);
      });
      await database.drizzle.transaction((transaction) => userStore.updateUser('main', second.user, { disabled: true }, transaction));
      await refuses(server, second.headers);
      assert.equal((await server.identify({ headers: first.headers, remote })).user, first.user);
      commit();
      await refuses(server, first.headers);
    });
  });
