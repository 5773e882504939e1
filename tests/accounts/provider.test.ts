import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccessToken, Account, AuditEntry, Invitation, SignInOptions, TwoFactorSetup } from '@millrace/contracts';
import { freePort } from '@millrace/testing';
import Provider from 'oidc-provider';
import { TOTP } from 'otpauth';
import { startServer, WITHOUT_WORLD } from '../server.ts';
import { PASSWORD, Visitor, wordIn } from './visitor.ts';

/*
 * Sign-in with a real OpenID Connect provider, with its own login and consent.
 */

const CLIENT = { client_id: 'millrace', client_secret: 'a secret between the two' };

describe('sign-in with an external provider', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-provider-'));
  let site: Server;
  let millrace: Awaited<ReturnType<typeof startServer>>;
  let issuer: string;
  before(async () => {
    site = createServer();
    site.listen(0, '127.0.0.1');
    await once(site, 'listening');
    issuer = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
    // The provider needs the redirect address before the server starts, so a free port is selected first.
    const port = await freePort();
    const provider = new Provider(issuer, {
      clients: [
        {
          ...CLIENT,
          redirect_uris: [`http://127.0.0.1:${port}/api/v1/auth/callback/house`],
          response_types: ['code'],
          grant_types: ['authorization_code'],
        },
      ],
      claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
      conformIdTokenClaims: false,
      pkce: { required: () => true },
      findAccount: (_context, id) => ({
        accountId: id,
        claims: () => ({ sub: id, email: `${id}@house.example`, email_verified: true, name: `The ${id}` }),
      }),
      features: { devInteractions: { enabled: true } },
    });
    site.on('request', provider.callback());
    millrace = await startServer(['up', '--port', String(port), '--data', 'data'], {
      cwd: folder,
      env: {
        ...WITHOUT_WORLD,
        MILLRACE_DEMO: 'false',
        MILLRACE_ACCOUNTS__SIGN_UP: 'open',
        MILLRACE_ACCOUNTS__TWO_FACTOR: 'operators',
        MILLRACE_ACCOUNTS__PROVIDERS: JSON.stringify([
          {
            id: 'house',
            name: 'The House',
            clientId: CLIENT.client_id,
            clientSecret: CLIENT.client_secret,
            discoveryUrl: `${issuer}/.well-known/openid-configuration`,
          },
        ]),
      },
    });
  });
  after(async () => {
    await millrace.stop();
    site.closeAllConnections();
    site.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Follows the redirect to the provider, signs in there, consents, and follows the redirect back. */
  async function comeInAs(visitor: Visitor, login: string): Promise<string> {
    const there = new Visitor(issuer);
    let { url } = await visitor.get<{ url: string }>('POST', '/auth/providers/house');
    for (let hop = 0; hop < 20 && url.startsWith(issuer); hop++) {
      const response = await there.ask('GET', url.slice(issuer.length));
      const next = response.headers.get('location');
      if (next !== null) url = new URL(next, issuer).href;
      else {
        const page = await response.text();
        const action = /action="([^"]+)"/.exec(page)?.[1] ?? '';
        const body = new URLSearchParams({ prompt: /name="prompt" value="(\w+)"/.exec(page)?.[1] ?? '', login, password: 'any' });
        const sent = await fetch(new URL(action, issuer), {
          method: 'POST',
          redirect: 'manual',
          headers: { cookie: [...there.jar].map(([name, value]) => `${name}=${value}`).join('; ') },
          body,
        });
        for (const line of sent.headers.getSetCookie()) {
          const [pair = ''] = line.split(';');
          there.jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
        }
        url = new URL(sent.headers.get('location') ?? '', issuer).href;
      }
    }
    const back = await visitor.ask('GET', url.slice(millrace.url.length));
    assert.equal(back.status, 302, await back.text());
    return back.headers.get('location') ?? '';
  }

  test('is offered, and creates a viewer of the home tenant', async () => {
    const visitor = new Visitor(millrace.url);
    const { providers, signUp } = await visitor.get<SignInOptions>('GET', '/auth/options');
    assert.deepEqual([providers, signUp], [[{ id: 'house', name: 'The House' }], 'open']);
    assert.equal(await comeInAs(visitor, 'miller'), millrace.url);
    const account = await visitor.get<Account>('GET', '/account');
    assert.deepEqual([account.email, account.name, account.role, account.tenant], ['miller@house.example', 'The miller', 'viewer', 'main']);
  });

  test('signs the same person in as the same user', async () => {
    const [one, other] = [new Visitor(millrace.url), new Visitor(millrace.url)];
    await comeInAs(one, 'baker');
    await comeInAs(other, 'baker');
    const users = await Promise.all([one, other].map(async (visitor) => (await visitor.get<Account>('GET', '/account')).user));
    assert.equal(users[0], users[1]);
  });

  test('does not count as two-factor authentication', async () => {
    const withTotp = async (visitor: Visitor): Promise<void> => {
      const { uri } = await visitor.get<TwoFactorSetup>('POST', '/account/two-factor', { password: PASSWORD });
      const secret = new URL(uri).searchParams.get('secret') ?? '';
      await visitor.get('POST', '/account/two-factor/confirm', { code: new TOTP({ secret }).generate() });
    };
    const [link = ''] = /http\S+invitation=\S+/.exec(millrace.errors()) ?? [];
    const owner = new Visitor(millrace.url);
    await owner.signUp('Owner', 'owner@example.com', wordIn(link));
    await withTotp(owner);
    // The baker of the test before has signed in twice.
    const lines = await owner.get<AuditEntry[]>('GET', '/tenants/main/audit?limit=100');
    assert.deepEqual(
      lines.filter(({ subject }) => subject === 'baker@house.example').map(({ action, detail }) => [action, detail]),
      [
        ['signed in', { by: 'house' }],
        ['signed in', { by: 'house' }],
        ['user joined', { role: 'viewer' }],
      ],
    );
    const wish = { role: 'operator', email: 'smith@house.example' };
    const invitation = await owner.get<Invitation>('POST', '/tenants/main/invitations', wish);
    const smith = new Visitor(millrace.url);
    await smith.signUp('Smith', wish.email, wordIn(invitation.link));
    await withTotp(smith);
    await smith.get('GET', '/sources');
    // A new password opens another session, as strong as the one before.
    await smith.get('POST', '/account/password', { current: PASSWORD, next: `${PASSWORD} again` });
    await smith.get('GET', '/sources');

    const vouched = new Visitor(millrace.url);
    await comeInAs(vouched, 'smith');
    const { email, role, twoFactorRequired } = await vouched.get<Account>('GET', '/account');
    assert.deepEqual([email, role, twoFactorRequired], [wish.email, 'operator', true]);
    assert.equal(await vouched.refusal('GET', '/sources'), 'FORBIDDEN');
    const { accessToken } = await vouched.get<AccessToken>('POST', '/auth/token');
    assert.equal(await new Visitor(millrace.url, { authorization: `Bearer ${accessToken}` }).refusal('GET', '/sources'), 'FORBIDDEN');
  });

  test('a response without a request of this browser is refused', async () => {
    const asked = new Visitor(millrace.url);
    const { url } = await asked.get<{ url: string }>('POST', '/auth/providers/house');
    const state = new URL(url).searchParams.get('state');
    const victim = new Visitor(millrace.url);
    const response = await victim.ask('GET', `/api/v1/auth/callback/house?code=stolen&state=${state}`);
    assert.match(response.headers.get('location') ?? '', /\/sign-in\?error=/);
    assert.equal(await victim.refusal('GET', '/account'), 'UNAUTHENTICATED');
    assert.equal(await asked.refusal('POST', '/auth/providers/nowhere'), 'NOT_FOUND');
  });
});
