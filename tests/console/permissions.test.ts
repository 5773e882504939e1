import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { type Guarded, PASSWORD, startGuarded, type Visitor } from '../accounts/visitor.ts';
import { openBrowser } from '../browser.ts';
import { WITHOUT_WORLD } from '../server.ts';

/*
 * The console of signed-in users: pages that they may not open, links that they follow before they sign in, lists after their own actions.
 */

describe('the console of a signed-in user', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-permissions-'));
  let guarded: Guarded;
  let browser: Browser;
  let viewer: Visitor;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
    viewer = await guarded.member('viewer');
    browser = await openBrowser();
  });
  after(async () => {
    await browser.close();
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A page; of a signed-in visitor, or of nobody. */
  async function open(path: string, visitor?: Visitor): Promise<Page> {
    const context = await browser.newContext({ locale: 'en-GB' });
    const cookies = [...(visitor?.jar ?? [])].map(([name, value]) => ({ name, value: decodeURIComponent(value), url: guarded.server.url }));
    await context.addCookies(cookies);
    const page = await context.newPage();
    await page.goto(guarded.server.url + path);
    return page;
  }
  const pathOf = (page: Page) => page.url().slice(guarded.server.url.length);

  test('a page that the user may not open names the missing permission', async () => {
    for (const [path, permission] of [
      ['/sources', 'platform:read'],
      ['/events', 'platform:read'],
      ['/worlds', 'platform:read'],
      ['/worlds/zones/0-0', 'platform:read'],
      ['/worlds/players', 'platform:read'],
      ['/worlds/players/p1', 'platform:read'],
      ['/worlds/snapshots', 'platform:read'],
      ['/worlds/play', 'world:play'],
      ['/tenants', 'tenant:read'],
      ['/tenants/main', 'tenant:read'],
    ] as const) {
      const page = await open(path, viewer);
      await page.getByText(`You lack the permission ${permission}`).waitFor();
      await page.context().close();
    }
  });

  test('the world of a player has no tabs that the player may not open', async () => {
    const page = await open('/worlds/play', await guarded.member('trader'));
    const tabs = page.getByRole('navigation', { name: 'World' }).getByRole('link');
    await tabs.first().waitFor();
    assert.deepEqual(await tabs.allTextContents(), ['Play']);
    await page.context().close();
  });

  test('signing in leads to the page that was opened, with its query', async () => {
    const page = await open('/worlds/snapshots?zone=1-0');
    await page.getByLabel('E-mail').fill('owner@example.com');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('link', { name: 'Account' }).waitFor();
    assert.equal(pathOf(page), '/worlds/snapshots?zone=1-0');
    await page.context().close();
  });

  test('a sign-in link of a signed-in user leads to its page, and never to another site', async () => {
    for (const [next, leadsTo] of [
      ['/account', '/account'],
      ['/instruments/simulator%3ABTC-USDT', '/instruments/simulator%3ABTC-USDT'],
      ['/sign-in?next=/account', '/'],
      ['/sign-up', '/'],
      ['//example.com/', '/'],
      ['/\\example.com/', '/'],
      ['/\t/example.com/', '/'],
      ['https://example.com/', '/'],
      ['javascript:alert(1)', '/'],
    ] as const) {
      const page = await open(`/sign-in?next=${encodeURIComponent(next)}`, viewer);
      await page.getByRole('link', { name: 'Account' }).waitFor();
      await page.waitForURL((url) => url.pathname !== '/sign-in');
      assert.equal(pathOf(page), leadsTo, next);
      await page.context().close();
    }
  });

  test('the audit log on the page has what the user just did', async () => {
    const page = await open('/tenants', guarded.owner);
    await page.getByRole('button', { name: 'Create reset link: viewer 1' }).waitFor();
    const invited = page.getByRole('row').filter({ hasText: 'somebody@example.com' });
    const inLog = page.getByRole('region', { name: 'Audit log' }).getByRole('row');
    await inLog.nth(1).waitFor();
    const before_ = await inLog.count();
    await page.getByLabel('E-mail (optional)').fill('somebody@example.com');
    await page.getByRole('button', { name: 'Invite', exact: true }).click();
    await invited.first().waitFor();
    await inLog.nth(before_).waitFor();
    await page.context().close();
  });
});
