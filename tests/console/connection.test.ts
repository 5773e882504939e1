/// <reference lib="dom" />
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { fits, openBrowser } from '../browser.ts';
import { type ServerProcess, startServer } from '../server.ts';

/*
 * The console while its server is stopped or hangs, and its recovery.
 */

const NARROW = 390;
const WIDE = 1280;

describe('fault 33: the console without a server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-connection-'));
  let server: ServerProcess;
  let browser: Browser;
  let context: BrowserContext;

  before(async () => {
    const sources = [{ id: 'simulator', type: 'simulator', instruments: ['BTC-USDT'], tradesPerSecond: 20, historyMinutes: 1 }];
    const worlds = { columns: 2, rows: 1, hosts: 1, monsters: 0, items: 4 };
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources, worlds }));
    server = await start('0');
    browser = await openBrowser();
    context = await browser.newContext({ locale: 'en-GB' });
  });
  after(async () => {
    await browser.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (port: string) => startServer(['up', '--port', port, '--data', join(folder, 'data')], { cwd: folder });
  const startAgain = async () => {
    server = await start(new URL(server.url).port);
  };

  async function open(path: string, width: number): Promise<Page> {
    const page = await context.newPage();
    await page.setViewportSize({ width, height: 844 });
    await page.goto(server.url + path);
    return page;
  }

  const banner = (page: Page) => page.locator('[data-connection-lost]');
  const back = (page: Page) => banner(page).waitFor({ state: 'detached' });

  /** Stops the timers of the page, so that only outside events can make it reconnect. */
  const holdTimers = (page: Page) =>
    page.evaluate(() => {
      window.setTimeout = (() => 0) as unknown as typeof setTimeout;
    });

  async function looksLost(page: Page): Promise<void> {
    await banner(page).waitFor();
    const words = (await banner(page).textContent()) ?? '';
    assert.match(words, /No connection to the server since \d\d:\d\d:\d\d/);
    assert.match(words, /As of \d+ sec ago/);
    assert.ok(await banner(page).evaluate((element) => element.closest('[role=status][aria-live]') !== null));
    const box = await banner(page).boundingBox();
    const { width = 0 } = page.viewportSize() ?? {};
    assert.ok(box && box.x >= 0 && box.y >= 0 && box.x + box.width <= width, `the banner is in sight: ${JSON.stringify(box)}`);
    await fits(page, width);
    for (const claim of ['Live', 'Up', 'Running'])
      assert.equal(await page.getByText(claim, { exact: true }).filter({ visible: true }).count(), 0, `${page.url()} claims ${claim}`);
  }

  test('shows the lost connection on every page, disables actions, and recovers in every tab', async () => {
    const sources = await open('/sources', WIDE);
    const narrow = await open('/sources', NARROW);
    const instruments = await open('/', WIDE);
    const zones = await open('/worlds', NARROW);
    for (const page of [sources, narrow, instruments]) await page.locator('main').getByText('Live', { exact: true }).first().waitFor();
    await zones.getByText('Up', { exact: true }).waitFor();
    await holdTimers(zones);
    await server.kill();
    for (const page of [sources, narrow, instruments, zones]) {
      await looksLost(page);
      await page.locator('main').getByText('Unknown', { exact: true }).first().waitFor();
    }
    for (const page of [sources, narrow]) {
      assert.ok(await page.getByRole('button', { name: 'Pause' }).isDisabled());
      assert.ok(await page.getByRole('button', { name: 'Restart' }).isDisabled());
    }
    assert.ok(await zones.getByRole('button', { name: 'Drain' }).isDisabled());
    // A page that was not loaded before cannot be opened, and the current one stays.
    await instruments.getByRole('link', { name: 'Account' }).click();
    await looksLost(instruments);

    await startAgain();
    for (const page of [sources, narrow, instruments, zones]) await back(page);
    await sources.locator('main').getByText('Live', { exact: true }).first().waitFor();
    assert.ok(await sources.getByRole('button', { name: 'Pause' }).isEnabled());
    await instruments.getByRole('heading', { name: 'Account' }).waitFor();
    for (const page of [sources, narrow, instruments, zones]) await page.close();
  });

  test('reconnects at once with the network, when its tab becomes visible, and on request', async () => {
    const ways: Readonly<Record<string, (page: Page) => Promise<unknown>>> = {
      online: (page) => page.evaluate(() => dispatchEvent(new Event('online'))),
      visible: (page) => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange'))),
      asked: (page) => page.getByRole('button', { name: 'Try now' }).click(),
    };
    for (const [name, come] of Object.entries(ways)) {
      const page = await open('/', WIDE);
      await page.locator('main').getByText('Live', { exact: true }).first().waitFor();
      await holdTimers(page);
      await server.kill();
      await banner(page).waitFor();
      await startAgain();
      assert.equal(await banner(page).count(), 1, `${name}: nothing else made it come back`);
      await come(page);
      await back(page);
      await page.close();
    }
  });

  test('detects a hanging server that keeps its connections open', async () => {
    const page = await open('/sources', NARROW);
    await page.locator('main').getByText('Live', { exact: true }).first().waitFor();
    server.child.kill('SIGSTOP');
    try {
      await looksLost(page);
    } finally {
      server.child.kill('SIGCONT');
    }
    await back(page);
    await page.locator('main').getByText('Live', { exact: true }).first().waitFor();
    await page.close();
  });
});
