/// <reference lib="dom" />
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Account, AuditEntry, Passkey, PasskeyOptions, User, UserSession } from '@millrace/contracts';
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';
import { fits, openBrowser } from '../browser.ts';
import { rowsOf } from '../response.ts';
import { WITHOUT_WORLD } from '../server.ts';
import { type Mailbox, startMailbox, tokenIn } from './mailbox.ts';
import { type Guarded, PASSWORD, startGuarded, Visitor } from './visitor.ts';

/*
 * Passkeys, created and used by the WebAuthn implementation of Chromium with a virtual authenticator (WebAuthn domain of the DevTools protocol).
 */

/** A virtual authenticator with user verification. */
const DEVICE = {
  protocol: 'ctap2',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
} as const;

describe('passkeys', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-passkeys-'));
  let guarded: Guarded;
  let mailbox: Mailbox;
  let browser: Browser;
  /** Origin at which passkeys can be used. */
  let origin: string;
  let context: BrowserContext;
  let page: Page;
  let devices: CDPSession;
  let device: string;
  const mistakes: string[] = [];
  before(async () => {
    mailbox = await startMailbox();
    guarded = await startGuarded(folder, {
      ...WITHOUT_WORLD,
      ...mailbox.env,
      MILLRACE_ACCOUNTS__TWO_FACTOR: 'operators',
      MILLRACE_ACCOUNTS__SIGN_UP: 'open',
    });
    origin = guarded.server.url.replace('127.0.0.1', 'localhost');
    browser = await openBrowser();
    context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB' });
    page = await context.newPage();
    page.on('pageerror', (error) => mistakes.push(error.message));
    devices = await context.newCDPSession(page);
    await devices.send('WebAuthn.enable');
    device = (await devices.send('WebAuthn.addVirtualAuthenticator', { options: DEVICE })).authenticatorId;
  });
  after(async () => {
    await browser.close();
    await guarded.server.stop();
    await mailbox.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const button = (name: string) => page.getByRole('button', { name, exact: true });
  const signIn = async () => {
    await page.goto(`${origin}/sign-in`);
    await page.getByLabel('E-mail').fill('owner@example.com');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await button('Sign in').click();
    await page.getByRole('link', { name: 'Account', exact: true }).waitFor();
  };
  const signOut = async () => {
    await page.goto(`${origin}/account`);
    await button('Sign out').click();
    await button('Sign in with a passkey').waitFor();
  };
  /** The response to a request with the session of this browser. */
  const ask = async <T>(method: 'GET' | 'POST' | 'DELETE', path: string, data?: object): Promise<T> => {
    const answer = await context.request.fetch(`${origin}/api/v1${path}`, { method, ...(data && { data }), headers: { origin } });
    return (answer.status() === 204 ? undefined : rowsOf(await answer.json())) as T;
  };
  /** The response of the authenticator, before it is sent to the server. */
  const made = ({ options }: PasskeyOptions) =>
    page.evaluate(async (json) => {
      const asked = PublicKeyCredential.parseCreationOptionsFromJSON(json as never);
      return ((await navigator.credentials.create({ publicKey: asked })) as PublicKeyCredential).toJSON();
    }, options);
  const shown = ({ options }: PasskeyOptions) =>
    page.evaluate(async (json) => {
      const asked = PublicKeyCredential.parseRequestOptionsFromJSON(json as never);
      return ((await navigator.credentials.get({ publicKey: asked })) as PublicKeyCredential).toJSON();
    }, options);

  test('are offered where browsers allow them; elsewhere the console names the address that does', async () => {
    assert.equal((await guarded.owner.get<{ passkeys: string }>('GET', '/auth/options')).passkeys, origin);
    await page.goto(`${guarded.server.url}/sign-in`);
    await button('Sign in').waitFor();
    assert.equal(await button('Sign in with a passkey').count(), 0);
    await page.goto(`${origin}/sign-in`);
    await button('Sign in with a passkey').waitFor();
  });

  test('a signed-in user adds one; it signs in without a password and counts as two-factor authentication', async () => {
    await signIn();
    await page.goto(`${origin}/account`);
    await page.getByText('No passkeys').waitFor();
    // Administrators need two-factor authentication here; a password alone is not sufficient.
    await page.getByText('requires two-factor authentication').waitFor();
    const form = page.locator('form').filter({ has: button('Add passkey') });
    await form.getByLabel('Name').fill('this laptop');
    await button('Add passkey').click();
    await page.getByRole('cell', { name: 'this laptop' }).waitFor();
    await form.locator('input:invalid').waitFor();
    assert.match(await mailbox.letterTo('owner@example.com', 'account'), /A passkey was added/);
    assert.equal((await ask<Account>('GET', '/account')).twoFactorRequired, true);
    await signOut();
    await button('Sign in with a passkey').click();
    await page.getByRole('link', { name: 'Sources' }).waitFor();
    const account = await ask<Account>('GET', '/account');
    assert.deepEqual([account.email, account.twoFactorRequired], ['owner@example.com', false]);
    const { accessToken } = await ask<{ accessToken: string }>('POST', '/auth/token');
    await new Visitor(guarded.server.url, { authorization: `Bearer ${accessToken}` }).get('GET', '/sources');
    const audit = await ask<AuditEntry[]>('GET', '/tenants/main/audit');
    assert.ok(audit.some(({ action, detail }) => action === 'signed in' && detail.by === 'passkey'));
    assert.ok(audit.some(({ action, detail }) => action === 'passkey added' && detail.name === 'this laptop'));
    const [owner] = await ask<User[]>('GET', '/tenants/main/users');
    assert.deepEqual([owner?.twoFactorEnabled, owner?.passkeys], [false, 1]);
    // The authenticator already has a passkey for this account and refuses to create another.
    await page.goto(`${origin}/account`);
    await form.getByLabel('Name').fill('again');
    await button('Add passkey').click();
    await page.getByText('already has a passkey for this account').waitFor();
    assert.deepEqual(mistakes, []);
  });

  test('the account page fits 1280 and 390 pixels with a passkey', async () => {
    await page.goto(`${origin}/account`);
    await page.getByRole('cell', { name: 'this laptop' }).waitFor();
    for (const width of [1280, 390]) await fits(page, width);
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  test('a response is refused when replayed, for another challenge, with a changed signature, or from another browser', async () => {
    await signOut();
    const refusal = async (credential: object) => (await ask<{ code: string }>('POST', '/auth/passkey', { credential })).code;
    const begin = () => ask<PasskeyOptions>('POST', '/auth/passkey/start');
    const first = await shown(await begin());
    assert.equal((await ask<{ status: string }>('POST', '/auth/passkey', { credential: first })).status, 'signed-in');
    await ask('POST', '/auth/sign-out');
    assert.equal(await refusal(first), 'INVALID_PASSKEY', 'shown before');
    await begin();
    assert.equal(await refusal(first), 'INVALID_PASSKEY', 'of another begin');
    const changed = await shown(await begin());
    const { signature: genuine } = changed.response as AuthenticatorAssertionResponseJSON;
    const signature = `${genuine.slice(0, -8)}AAAAAAAA`;
    assert.equal(await refusal({ ...changed, response: { ...changed.response, signature } }), 'INVALID_PASSKEY', 'changed');
    const stolen = await shown(await begin());
    assert.equal(await guarded.visitor().refusal('POST', '/auth/passkey', { credential: stolen }), 'INVALID_PASSKEY', 'not begun there');
    assert.doesNotMatch(guarded.server.errors(), /Failed to verify/, 'no operator is bothered with it');
  });

  test('a session by password alone can neither add nor remove passkeys nor enable codes', async () => {
    await signIn();
    const [passkey] = await ask<Passkey[]>('GET', '/account/passkeys');
    const refusal = async (...asked: Parameters<typeof ask>) => (await ask<{ code: string }>(...asked)).code;
    assert.equal(await refusal('POST', '/account/passkeys/start'), 'FORBIDDEN');
    assert.equal(await refusal('DELETE', `/account/passkeys/${passkey?.id}`), 'FORBIDDEN');
    assert.equal(await refusal('POST', '/account/two-factor', { password: PASSWORD }), 'FORBIDDEN');
  });

  test('a device that did not verify its user is refused', async () => {
    await signOut();
    await button('Sign in with a passkey').click();
    await page.getByRole('link', { name: 'Sources' }).waitFor();
    const careless = { ...DEVICE, isUserVerified: false } as const;
    await devices.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: device });
    const other = (await devices.send('WebAuthn.addVirtualAuthenticator', { options: { ...careless, hasUserVerification: false } }))
      .authenticatorId;
    const begun = await ask<PasskeyOptions>('POST', '/account/passkeys/start');
    const selection = { residentKey: 'required', userVerification: 'discouraged' };
    const credential = await made({ options: { ...begun.options, authenticatorSelection: selection, excludeCredentials: [] } });
    const answer = await ask<{ code: string; detail: string }>('POST', '/account/passkeys', { name: 'careless', credential });
    assert.equal(answer.code, 'INVALID_PASSKEY');
    assert.match(answer.detail, /did not verify the user/);
    assert.equal((await ask<Passkey[]>('GET', '/account/passkeys')).length, 1);
    await devices.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: other });
  });

  test('a response for another origin is refused, so phishing gains nothing', async () => {
    const { authenticatorId } = await devices.send('WebAuthn.addVirtualAuthenticator', { options: DEVICE });
    device = authenticatorId;
    const begun = await ask<PasskeyOptions>('POST', '/account/passkeys/start');
    const credential = await made({ options: { ...begun.options, excludeCredentials: [] } });
    const data = JSON.parse(Buffer.from(credential.response.clientDataJSON, 'base64url').toString()) as object;
    const clientDataJSON = Buffer.from(JSON.stringify({ ...data, origin: 'https://mi11race.example' })).toString('base64url');
    const body = { name: 'elsewhere', credential: { ...credential, response: { ...credential.response, clientDataJSON } } };
    assert.equal((await ask<{ code: string }>('POST', '/account/passkeys', body)).code, 'INVALID_PASSKEY');
    await devices.send('WebAuthn.clearCredentials', { authenticatorId: device });
  });

  test('an invalid credential is refused with the reason, and passkeys of others cannot be removed', async () => {
    for (const credential of [null, {}, { id: '\u0000', rawId: '', type: 'public-key', response: {} }, 'x'.repeat(100)])
      assert.equal((await ask<{ code: string }>('POST', '/auth/passkey', { credential })).code, 'BAD_REQUEST', JSON.stringify(credential));
    const [passkey] = await ask<Passkey[]>('GET', '/account/passkeys');
    const other = guarded.visitor();
    await other.get('POST', '/auth/sign-up', { name: 'Other', email: 'other@example.com', password: PASSWORD });
    await other.get('POST', '/auth/verify-email', { token: tokenIn(await mailbox.letterTo('other@example.com', 'verify-email?')) });
    assert.equal(await other.refusal('DELETE', `/account/passkeys/${passkey?.id}`), 'NOT_FOUND');
    assert.equal(await guarded.visitor().refusal('DELETE', `/account/passkeys/${passkey?.id}`), 'UNAUTHENTICATED');
    assert.equal((await ask<Passkey[]>('GET', '/account/passkeys')).length, 1);
  });

  test('a removed passkey does not sign in, and its sessions end', async () => {
    const begun = await ask<PasskeyOptions>('POST', '/account/passkeys/start');
    const credential = await made({ options: { ...begun.options, excludeCredentials: [] } });
    await ask<Passkey>('POST', '/account/passkeys', { name: 'lost', credential });
    await mailbox.letterTo('owner@example.com', 'account');
    const other = await browser.newContext();
    const start = await other.request.fetch(`${origin}/api/v1/auth/passkey/start`, { method: 'POST', headers: { origin } });
    const found = await shown((await start.json()) as PasskeyOptions);
    const came = await other.request.fetch(`${origin}/api/v1/auth/passkey`, {
      method: 'POST',
      headers: { origin },
      data: { credential: found },
    });
    assert.equal(came.status(), 200);
    const sessions = (await ask<UserSession[]>('GET', '/account/sessions')).length;

    await page.goto(`${origin}/account`);
    await page.getByRole('row').filter({ hasText: 'lost' }).getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('cell', { name: 'lost' }).waitFor({ state: 'detached' });
    assert.match(await mailbox.letterTo('owner@example.com', 'account'), /passkey of your account was removed/);
    assert.ok((await ask<UserSession[]>('GET', '/account/sessions')).length < sessions);
    assert.equal((await other.request.get(`${origin}/api/v1/account`)).status(), 401);
    await other.close();
    await signOut();
    await button('Sign in with a passkey').click();
    await page.getByText('Unknown or removed passkey.').waitFor();
    assert.deepEqual(mistakes, []);
  });
});
