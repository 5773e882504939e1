import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import type { Permission } from '@millrace/contracts';
import { connectDatabase, type Database, migrateDatabase, type Transaction } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { eq } from 'drizzle-orm';
import { decodeJwt } from 'jose';
import { type TOTP, URI } from 'otpauth';
import { ACCESS_TOKEN_S } from './access-tokens.ts';
import { ApiKeys } from './api-keys.ts';
import { AuditLog } from './audit.ts';
import { createIdentity, type Identity } from './identity.ts';
import { joining } from './joining.ts';
import { makeResetLink } from './reset-links.ts';
import { signInWithPassword } from './sign-in.ts';
import { apiKeys, revocations, userCredentials, userPasskeys, userSessions, userVerifications } from './tables/tables.ts';
import { UserNames } from './user-names.ts';
import { UserStore } from './user-store.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');
const cookiesOf = (headers: Headers) =>
  headers
    .getSetCookie()
    .map((cookie) => cookie.split(';', 1)[0])
    .join('; ');
const SCOPES: readonly Permission[] = ['market:read'];

/*
 * Concurrent changes have the same result as one after another, and a change is stored with its entry in the audit log or not at all.
 */
for (const engine of ENGINES)
  describe(`concurrent changes on ${engine.name}`, () => {
    let running: TestDatabase;
    let database: Database;
    let userStore: UserStore;
    let keys: ApiKeys;
    let identity: Identity;
    let users = 0;
    /** Runs while a password is verified. */
    let whileVerified = async () => {};

    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await migrateDatabase(database, MIGRATIONS);
      userStore = new UserStore(database);
      keys = new ApiKeys(database, systemClock, false);
      await userStore.createHomeTenant();
      identity = createIdentity({
        database,
        secret: 'identity secret of the test',
        passwords: {
          hash: async (password) => `hash of ${password}`,
          verify: async (hash, password) => {
            const isRight = hash === `hash of ${password}`;
            await whileVerified();
            return isRight;
          },
        },
        sessionHours: 1,
        baseUrl: 'http://localhost:7420',
        mailer: null,
        providers: [],
        isOpen: false,
        onReset: async () => {},
        onCreated: () => {},
        current: userStore,
        onFailure: () => {},
      });
    });
    after(async () => {
      await database.close();
      await running.close();
    });

    const inTransaction = <T>(work: (transaction: Transaction) => Promise<T>) => database.drizzle.transaction(work);

    async function newUser(role: 'admin' | 'trader' = 'trader', tenant = 'main'): Promise<{ id: string; email: string }> {
      const email = `user-${++users}@example.com`;
      const made = await joining.run({ tenant, role, verified: true }, () =>
        identity.api.signUpEmail({ body: { name: `User ${users}`, email, password: 'the old password' } }),
      );
      return { id: made.user.id, email };
    }

    test('administrators cannot remove each other until none is left', async () => {
      await inTransaction((transaction) => userStore.createTenant({ id: 'acme', name: 'Acme', tier: 'free' }, transaction));
      const admins: string[] = [];
      for (let index = 0; index < 6; index++) admins.push((await newUser('admin', 'acme')).id);
      const demote = (id: string) => inTransaction((transaction) => userStore.updateUser('acme', id, { role: 'viewer' }, transaction));
      const results = await Promise.all(admins.map(demote));
      assert.equal(results.filter((result) => result === 'last-administrator').length, 1);
      assert.equal((await userStore.listUsers('acme')).filter(({ role }) => role === 'admin').length, 1);
    });

    test('a user has at most the keys of the tier', async () => {
      const { id } = await newUser();
      const about = { name: 'key', scopes: SCOPES, expiresAt: Date.now() + 86_400_000 };
      const create = () => inTransaction((transaction) => keys.create(id, about, 3, transaction));
      const created = await Promise.all(Array.from({ length: 8 }, create));
      assert.equal(created.filter((key) => key !== null).length, 3);
      assert.equal(await keys.count(id), 3);
    });

    test('one reset link of a user is valid', async () => {
      const { id } = await newUser();
      const make = () => inTransaction((transaction) => makeResetLink(transaction, id, 'http://localhost:7420'));
      await Promise.all([make(), make(), make()]);
      assert.equal((await database.drizzle.select().from(userVerifications).where(eq(userVerifications.value, id))).length, 1);
    });

    test('a sign-in with a password that is replaced while it is verified leaves no session', async () => {
      const { id, email } = await newUser();
      whileVerified = async () => {
        await database.drizzle.update(userCredentials).set({ password: 'hash of the new password' }).where(eq(userCredentials.userId, id));
        await database.drizzle.delete(userSessions).where(eq(userSessions.userId, id));
      };
      const signIn = (password: string) => signInWithPassword(identity, { email, password }, new Headers());
      await assert.rejects(signIn('the old password'), { code: 'INVALID_CREDENTIALS' });
      whileVerified = async () => {};
      assert.deepEqual(await userStore.sessions(id, null), []);
      await signIn('the new password');
      assert.equal((await userStore.sessions(id, null)).length, 1);
    });

    test('a sign-in with the right password succeeds although the role of its user changes while it is verified', async () => {
      const { id, email } = await newUser();
      const roles = ['viewer', 'trader'] as const;
      whileVerified = async () => {
        const role = roles[roles.length - left];
        if (left-- > 0) await inTransaction((transaction) => userStore.updateUser('main', id, { role }, transaction));
      };
      let left: number = roles.length;
      await database.drizzle.delete(userSessions).where(eq(userSessions.userId, id));
      await signInWithPassword(identity, { email, password: 'the old password' }, new Headers());
      assert.equal((await userStore.sessions(id, null)).length, 1);
      // Without end, it is refused as temporary.
      whileVerified = async () => {
        left++;
        await inTransaction((transaction) =>
          userStore.updateUser('main', id, { role: left % 2 === 0 ? 'viewer' : 'operator' }, transaction),
        );
      };
      const signedIn = signInWithPassword(identity, { email, password: 'the old password' }, new Headers());
      await assert.rejects(signedIn, { code: 'DATABASE_UNAVAILABLE' });
      whileVerified = async () => {};
    });

    test('a password that is replaced ends sign-ins that wait for their second factor', async () => {
      const { id, email } = await newUser();
      const { headers: signedIn } = await signInWithPassword(identity, { email, password: 'the old password' }, new Headers());
      const session = new Headers({ cookie: cookiesOf(signedIn) });
      const enabled = await identity.api.enableTwoFactor({ body: { password: 'the old password' }, headers: session });
      assert.ok(enabled.method === 'totp');
      const authenticator = URI.parse(enabled.totpURI) as TOTP;
      await identity.api.verifyTOTP({ body: { code: authenticator.generate() }, headers: session });
      const waiting = await signInWithPassword(identity, { email, password: 'the old password' }, new Headers());
      assert.equal((waiting.response as { twoFactorRedirect?: boolean }).twoFactorRedirect, true);
      const pending = () => database.drizzle.select().from(userVerifications).where(eq(userVerifications.value, id));
      assert.equal((await pending()).length, 1);
      await database.drizzle.update(userCredentials).set({ password: 'hash of the new password' }).where(eq(userCredentials.userId, id));
      assert.deepEqual(await pending(), []);
      const headers = new Headers({ cookie: cookiesOf(waiting.headers) });
      await assert.rejects(identity.api.verifyTOTP({ body: { code: authenticator.generate() }, headers }));
    });

    test('a user has at most 20 passkeys', async () => {
      const { id } = await newUser();
      const add = (number: number) =>
        database.drizzle.insert(userPasskeys).values({
          id: `${id}-${number}`,
          userId: id,
          publicKey: 'key',
          credentialID: `${id}-${number}`,
          counter: 0,
          deviceType: 'singleDevice',
          backedUp: false,
        });
      const added = await Promise.allSettled(Array.from({ length: 24 }, (_none, number) => add(number)));
      assert.equal(added.filter(({ status }) => status === 'fulfilled').length, 20);
      assert.equal((await userStore.passkeys(id)).length, 20);
    });

    test('an access token expires with its session at the latest: the deletion of an expired session revokes none', async () => {
      const { id, email } = await newUser();
      const { headers } = await identity.api.signInEmail({ body: { email, password: 'the old password' }, returnHeaders: true });
      const lifetimeOf = async () => {
        const { token } = await identity.api.getToken({ headers: new Headers({ cookie: cookiesOf(headers) }) });
        const { iat = 0, exp = 0 } = decodeJwt(token);
        return exp - iat;
      };
      assert.equal(await lifetimeOf(), ACCESS_TOKEN_S);
      await database.drizzle
        .update(userSessions)
        .set({ expiresAt: new Date(Date.now() + 60_000) })
        .where(eq(userSessions.userId, id));
      const left = await lifetimeOf();
      assert.ok(left > 0 && left <= 60, `${left} s`);
    });

    test('expired sessions are deleted without a revocation, others with one', async () => {
      const { id, email } = await newUser();
      await signInWithPassword(identity, { email, password: 'the old password' }, new Headers());
      const [expired, valid] = await userStore.sessions(id, null);
      assert.ok(expired && valid);
      await database.drizzle
        .update(userSessions)
        .set({ expiresAt: new Date(Date.now() - 1_000) })
        .where(eq(userSessions.id, expired.id));
      await userStore.deleteExpiredSessions();
      assert.deepEqual(
        (await userStore.sessions(id, null)).map((session) => session.id),
        [valid.id],
      );
      await userStore.deleteSession(id, valid.id, database.drizzle);
      const revoked = await database.drizzle.select().from(revocations);
      assert.deepEqual(
        [expired.id, valid.id].map((session) => revoked.some(({ subject }) => subject === session)),
        [false, true],
      );
    });

    test('an invitation that was revoked while a sign-up used it stays invalid when that sign-up fails', async () => {
      const grant = { tenant: 'main', role: 'viewer', email: null, invitedBy: 'test' } as const;
      const { id, token } = await inTransaction((transaction) => userStore.createInvitation(grant, transaction));
      const accepted = await userStore.acceptInvitation(token, 'kim@example.com');
      assert.equal(await inTransaction((transaction) => userStore.deleteInvitation('main', id, transaction)), null);
      await userStore.expireUsedInvitation('main', id);
      assert.ok(accepted);
      await userStore.releaseInvitation(accepted);
      assert.equal(await userStore.validInvitation(token, 'kim@example.com'), null);
    });

    test('a change whose entry in the audit log cannot be stored is not made', async () => {
      const { id } = await newUser();
      const audit = new AuditLog(database);
      const about = { name: 'key', scopes: SCOPES, expiresAt: Date.now() + 86_400_000 };
      const create = (detail: Record<string, unknown>) =>
        audit.appendWith(
          'main',
          (transaction) => keys.create(id, about, 10, transaction),
          () => ({ actor: 'Kim', user: id, action: 'key created', subject: 'key', detail, remote: '', trace: '' }),
        );
      const rename = audit.appendWith(
        'main',
        (transaction) => new UserNames(database).change(id, 'Lee', transaction),
        () => ({ actor: 'Kim', user: id, action: 'name changed', subject: id, detail: { to: '\u0000' }, remote: '', trace: '' }),
      );
      await assert.rejects(rename);
      assert.notEqual((await userStore.user(id))?.name, 'Lee');
      // JSON of PostgreSQL cannot have this character.
      await assert.rejects(create({ name: '\u0000' }));
      assert.equal((await database.drizzle.select().from(apiKeys).where(eq(apiKeys.userId, id))).length, 0);
      await create({});
      assert.equal(await keys.count(id), 1);
      assert.partialDeepStrictEqual(await audit.verify('main'), { entries: 1, firstInvalid: null });
    });
  });
