import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ALL_ROLES } from '@millrace/contracts';
import type { Browser, Page } from 'playwright-core';
import { type Guarded, startGuarded } from '../accounts/visitor.ts';
import { openBrowser } from '../browser.ts';
import { WITHOUT_WORLD } from '../server.ts';

const NEWER = 'a newer mill that turns as well';

describe('the users page of a tenant', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tenant-page-'));
  let guarded: Guarded;
  let browser: Browser;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
    await guarded.member('operator');
    browser = await openBrowser();
  });
  after(async () => {
    await browser.close();
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A page of the signed-in owner. */
  async function openUsers(locale: string): Promise<Page> {
    const context = await browser.newContext({ locale });
    const { jar } = guarded.owner;
    await context.addCookies([...jar].map(([name, value]) => ({ name, value: decodeURIComponent(value), url: guarded.server.url })));
    const page = await context.newPage();
    await page.goto(`${guarded.server.url}/tenants`);
    return page;
  }

  for (const [locale, words] of [
    ['en-US', ['Viewer', 'Trader', 'Operator', 'Administrator']],
    ['ko-KR', ['조회자', '트레이더', '운영자', '관리자']],
  ] as const)
    test(`fault 34: every role has its own name, in ${locale}`, async () => {
      const page = await openUsers(locale);
      const options = page.getByRole('combobox').first().getByRole('option');
      await options.first().waitFor({ state: 'attached' });
      assert.deepEqual(await options.allTextContents(), [...words]);
      assert.equal(words.length, ALL_ROLES.length);
      await page.context().close();
    });

  test('fault 37: a reset link for a forgotten password signs its user in', async () => {
    const page = await openUsers('en-US');
    await page.getByRole('button', { name: 'Create reset link: operator 1' }).click();
    const link = (await page.locator('[data-link]').textContent())?.trim() ?? '';
    const visitor = await browser.newPage();
    await visitor.goto(link);
    await visitor.locator('input[name="next"]').fill(NEWER);
    await visitor.getByRole('button', { name: 'Save' }).click();
    await visitor.getByText('Password changed').waitFor();
    assert.equal((await guarded.visitor().signIn('operator-1@main.example', NEWER)).status, 'signed-in');
    await page.context().close();
  });
});
