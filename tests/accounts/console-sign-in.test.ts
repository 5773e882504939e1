/// <reference lib="dom" />
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Page as ListPage, UserSession } from '@millrace/contracts';
import { TOTP } from 'otpauth';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { fits, openBrowser } from '../browser.ts';
import { type ServerProcess, startServer, WITHOUT_WORLD } from '../server.ts';
import { PASSWORD } from './visitor.ts';

/*
 * Sign-in to the console in a real browser: the owner signs up, invites a user, enables two-factor authentication, creates a key.
 */

describe('sign-in to the console, in a browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-sign-in-'));
  let server: ServerProcess;
  let browser: Browser;
  let owner: BrowserContext;
  let authenticator: TOTP;
  before(async () => {
    server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder, env: { ...WITHOUT_WORLD, MILLRACE_DEMO: 'false' } });
    browser = await openBrowser();
    owner = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB' });
  });
  after(async () => {
    await browser.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A page that fails the test on any error. */
  async function open(context: BrowserContext, path: string): Promise<{ page: Page; mistakes: string[] }> {
    const page = await context.newPage();
    const mistakes: string[] = [];
    page.on('pageerror', (error) => mistakes.push(error.message));
    page.on('console', (message) => message.type() === 'error' && mistakes.push(message.text()));
    await page.goto(path.startsWith('http') ? path : server.url + path);
    return { page, mistakes };
  }
  const form = (page: Page, action: string) =>
    page.locator('form').filter({ has: page.getByRole('button', { name: action, exact: true }) });
  const fill = async (page: Page, action: string, fields: Record<string, string>) => {
    for (const [label, value] of Object.entries(fields)) await form(page, action).getByLabel(label, { exact: true }).fill(value);
    await page.getByRole('button', { name: action, exact: true }).click();
  };

  test('a visitor is asked to sign in, and sees what was wrong', async () => {
    const { page, mistakes } = await open(await browser.newContext({ locale: 'en-GB' }), '/worlds');
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.getByText('Accounts require an invitation').waitFor();
    assert.deepEqual(mistakes, []);
    await fill(page, 'Sign in', { 'E-mail': 'nobody@example.com', Password: 'whatever it was' });
    await page.getByText('Incorrect e-mail or password.').waitFor();
    await page.close();
  });

  test('the owner signs up with the link of the first start', async () => {
    const [link = ''] = /http\S+invitation=\S+/.exec(server.errors()) ?? [];
    const { page, mistakes } = await open(owner, link);
    // The user can show and paste the password, and sees its strength.
    const chosen = page.getByLabel('Password', { exact: true });
    assert.equal(await chosen.getAttribute('autocomplete'), 'new-password');
    await chosen.fill('passwordpassword');
    await page.getByText('Very weak').waitFor();
    await page.getByRole('button', { name: 'Show' }).click();
    assert.equal(await chosen.getAttribute('type'), 'text');
    await chosen.fill(PASSWORD);
    await page.getByText('Strong', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Hide' }).click();
    assert.equal(await chosen.getAttribute('type'), 'password');
    await fill(page, 'Create account', { Name: 'Owner', 'E-mail': 'owner@example.com', Password: PASSWORD });
    await page.getByRole('link', { name: 'Account' }).waitFor();
    await page.getByRole('link', { name: 'BTC/USDT' }).first().waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('a user whose session ended elsewhere sees the sign-in page', async () => {
    const { page, mistakes } = await open(owner, '/');
    await page.getByRole('status').getByText('Live').waitFor();
    // Like another browser of the user.
    const sessions = `${server.url}/api/v1/account/sessions`;
    const { id } =
      ((await (await owner.request.get(sessions)).json()) as ListPage<UserSession>).data.find(({ isThis }) => isThis) ?? assert.fail();
    assert.equal((await owner.request.delete(`${sessions}/${id}`)).status(), 204);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.deepEqual(mistakes, []);
    await fill(page, 'Sign in', { 'E-mail': 'owner@example.com', Password: PASSWORD });
    await page.getByRole('link', { name: 'Account' }).waitFor();
    await page.close();
  });

  test('a sign-out that fails because the server is unreachable is reported', async () => {
    const { page } = await open(owner, '/account');
    await page.route('**/auth/sign-out', (route) => route.abort());
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('The server cannot be reached').waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    await page.close();
  });

  test('a user enables two-factor authentication, creates a key that is shown once, and signs in with a code', async () => {
    const { page, mistakes } = await open(owner, '/account');
    await fill(page, 'Set up', { Password: PASSWORD });
    await page.getByRole('img', { name: 'QR code' }).waitFor();
    const secret = (await page.locator('p.font-mono').first().textContent()) ?? '';
    authenticator = new TOTP({ secret });
    await fill(page, 'Turn on', { Code: authenticator.generate() });
    await page.getByText('Sign-in requires a code').waitFor();
    await fill(page, 'Create API key', { Name: 'notebook' });
    const key = (await page.locator('[data-key]').textContent()) ?? '';
    assert.equal((await fetch(`${server.url}/api/v1/instruments`, { headers: { authorization: `Bearer ${key}` } })).status, 200);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await fill(page, 'Sign in', { 'E-mail': 'owner@example.com', Password: PASSWORD });
    await fill(page, 'Continue', { Code: authenticator.generate({ timestamp: Date.now() + 30_000 }) });
    await page.getByRole('link', { name: 'Account' }).waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('an invited viewer sees markets and no operator pages', async () => {
    const { page, mistakes } = await open(owner, '/tenants');
    await page.getByRole('button', { name: 'Invite', exact: true }).click();
    const link = (await page.locator('[data-link]').first().textContent()) ?? '';
    const viewer = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB' });
    const theirs = await open(viewer, link);
    await fill(theirs.page, 'Create account', { Name: 'Viewer', 'E-mail': 'viewer@example.com', Password: PASSWORD });
    await theirs.page.getByRole('link', { name: 'BTC/USDT' }).first().waitFor();
    for (const name of ['Sources', 'Events', 'Users'])
      assert.equal(await theirs.page.getByRole('link', { name, exact: true }).count(), 0, name);
    assert.deepEqual(theirs.mistakes, []);
    await page.reload();
    await page.getByRole('cell', { name: 'viewer@example.com', exact: true }).first().waitFor();
    await page.getByRole('row').filter({ hasText: 'viewer@example.com' }).first().getByRole('button', { name: 'Disable' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click();
    await page.getByRole('button', { name: 'Enable' }).waitFor();
    await theirs.page.reload();
    await theirs.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  // Each test starts with another width, so that every page is loaded and resized at both widths.
  for (const [colorScheme, widths] of [
    ['light', [1280, 390]],
    ['dark', [390, 1280]],
  ] as const)
    test(`fits ${widths.join(' and ')} pixels in Korean, ${colorScheme}`, async () => {
      const storageState = await owner.storageState();
      const look = { viewport: { width: widths[0], height: 844 }, locale: 'ko-KR', colorScheme };
      for (const [path, title, state] of [
        ['/account', '2단계 인증', storageState],
        ['/tenants', '감사 로그', storageState],
        ['/sign-in', '로그인', undefined],
        ['/sign-up?invitation=x', '계정 만들기', undefined],
        ['/forgot-password', '링크 보내기', undefined],
      ] as const) {
        const context = await browser.newContext({ ...look, ...(state && { storageState: state }) });
        const { page, mistakes } = await open(context, path);
        await page.getByText(title).first().waitFor();
        for (const width of widths) await fits(page, width);
        assert.deepEqual(mistakes, [], path);
        await context.close();
      }
    });
});
