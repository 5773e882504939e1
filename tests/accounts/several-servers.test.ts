import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccessToken, Account, Invitation, Problem, TwoFactorSetup } from '@millrace/contracts';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { type TOTP, URI } from 'otpauth';
import { type ServerProcess, startServer, WITHOUT_WORLD } from '../server.ts';
import { PASSWORD, Visitor, wordIn } from './visitor.ts';

/*
 * Two servers on one database, without Redis: data about users must not depend on which server is asked or when it was started.
 */

const postgres = ENGINES.find(({ name }) => name === 'PostgreSQL');
const left = { skip: postgres || process.env.CI ? false : 'there is no PostgreSQL on this machine' };

describe('two servers on one database', left, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-several-'));
  let database: TestDatabase;
  let shared: Record<string, string>;
  const running = new Map<'one' | 'two', ServerProcess>();
  let owner: Visitor;

  const start = async (name: 'one' | 'two') => {
    const cwd = join(folder, name);
    mkdirSync(cwd, { recursive: true });
    const server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd, env: shared });
    running.set(name, server);
    return server;
  };
  const at = (name: 'one' | 'two', headers: Record<string, string> = {}) => new Visitor(running.get(name)?.url ?? '', headers);
  /** The same browser on the other server. */
  const elsewhere = (visitor: Visitor, name: 'one' | 'two') => {
    const same = at(name, visitor.headers);
    for (const [cookie, value] of visitor.jar) same.jar.set(cookie, value);
    return same;
  };
  const newUser = async (name: string): Promise<Visitor> => {
    const { link } = await owner.get<Invitation>('POST', '/tenants/main/invitations', { role: 'trader', email: `${name}@example.com` });
    const user = at('one');
    await user.signUp(name, `${name}@example.com`, wordIn(link));
    return user;
  };

  before(async () => {
    database = (await postgres?.open()) as TestDatabase;
    shared = {
      ...WITHOUT_WORLD,
      MILLRACE_DEMO: 'false',
      MILLRACE_DATABASE__URL: 'url' in database.address ? database.address.url : '',
      MILLRACE_PUBLIC_URL: 'http://localhost:7420',
      MILLRACE_ENCRYPTION__KEY: randomBytes(32).toString('base64'),
    };
    await Promise.all([start('one'), start('two')]);
  });
  after(async () => {
    for (const server of running.values()) await server.stop();
    await database?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('fault 73: of the owner links that two servers print, one works, once', async () => {
    const words = [...running.values()].flatMap((server) => /invitation=(\S+)/.exec(server.errors())?.[1] ?? []);
    assert.ok(words.length > 0);
    const came = await Promise.all(
      words.map(async (invitation, index) => {
        const visitor = at('one');
        const wish = { name: `Owner ${index}`, email: `owner-${index}@example.com`, password: PASSWORD, invitation };
        const response = await visitor.ask('POST', '/api/v1/auth/sign-up', wish);
        if (response.status === 200) owner = visitor;
        return response.status === 200;
      }),
    );
    assert.equal(came.filter(Boolean).length, 1);
  });

  test('fault 74: a code of an authenticator works once on all servers, also after a restart', async () => {
    const kim = await newUser('kim');
    const { uri } = await kim.get<TwoFactorSetup>('POST', '/account/two-factor', { password: PASSWORD });
    const authenticator = URI.parse(uri) as TOTP;
    await kim.get('POST', '/account/two-factor/confirm', { code: authenticator.generate({ timestamp: Date.now() - 30_000 }) });
    const code = authenticator.generate();
    const first = at('one');
    assert.deepEqual(await first.signIn('kim@example.com'), { status: 'two-factor' });
    await first.get('POST', '/auth/two-factor', { code });
    const second = at('two');
    assert.deepEqual(await second.signIn('kim@example.com'), { status: 'two-factor' });
    assert.equal(await second.refusal('POST', '/auth/two-factor', { code }), 'INVALID_CODE');
    assert.equal(await second.refusal('GET', '/account'), 'UNAUTHENTICATED');
  });

  test('fault 75: failed attempts are counted across servers and restarts', async () => {
    await newUser('lee');
    const wish = { email: 'lee@example.com', password: 'not this one, surely' };
    for (let guess = 0; guess < 5; guess++)
      assert.equal(await at(guess % 2 ? 'two' : 'one').refusal('POST', '/auth/sign-in', wish), 'INVALID_CREDENTIALS');
    for (const name of ['one', 'two'] as const) assert.equal(await at(name).refusal('POST', '/auth/sign-in', wish), 'LOCKED_OUT', name);
    await running.get('two')?.kill();
    await start('two');
    assert.equal(await at('two').refusal('POST', '/auth/sign-in', wish), 'LOCKED_OUT');
  });

  test('fault 71: a user disabled at one server cannot invite at the other, with any credential', async () => {
    const { link } = await owner.get<Invitation>('POST', '/tenants/main/invitations', { role: 'admin', email: 'park@example.com' });
    const park = at('two');
    await park.signUp('park', 'park@example.com', wordIn(link));
    const { user } = await park.get<Account>('GET', '/account');
    const { accessToken } = await park.get<AccessToken>('POST', '/auth/token');
    const bearer = at('two', { authorization: `Bearer ${accessToken}` });
    await bearer.get('GET', '/account');
    const stream = await fetch(`${at('two').url}/api/v1/stream?channels=tickers`, {
      headers: bearer.headers,
      signal: AbortSignal.timeout(20_000),
    });
    await owner.get('PATCH', `/tenants/main/users/${user}`, { disabled: true });
    // The open stream there ends when the other server reads the revocation.
    assert.match(await stream.text(), /not-any-more/);
    for (const visitor of [park, bearer]) {
      const response = await visitor.ask('POST', '/api/v1/tenants/main/invitations', { role: 'admin' });
      assert.equal(response.status, 401, ((await response.json()) as Problem).code);
    }
    assert.equal(await elsewhere(park, 'one').refusal('GET', '/account'), 'UNAUTHENTICATED');
  });
});
