/// <reference lib="dom" />
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { fits, openBrowser } from '../browser.ts';
import { type ServerProcess, startServer, WITHOUT_WORLD } from '../server.ts';

/*
 * The market pages of the console in a real browser.
 */

describe('the console in a browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-console-'));
  let server: ServerProcess;
  let browser: Browser;

  before(async () => {
    const sources = [
      { id: 'simulator', type: 'simulator', instruments: ['BTC-USDT', 'ETH-USDT'], tradesPerSecond: 20, historyMinutes: 30 },
    ];
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources }));
    server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder, env: WITHOUT_WORLD });
    browser = await openBrowser();
  });
  after(async () => {
    await browser.close();
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A page that fails the test on any error. */
  async function open(path: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<{ page: Page; mistakes: string[] }> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
    const mistakes: string[] = [];
    page.on('pageerror', (error) => mistakes.push(error.message));
    page.on('console', (message) => message.type() === 'error' && mistakes.push(message.text()));
    await page.goto(server.url + path);
    return { page, mistakes };
  }

  test('shows a live, moving chart', async () => {
    const { page, mistakes } = await open('/');
    await page.getByRole('link', { name: 'BTC/USDT' }).click();
    const chart = page.getByTestId('chart');
    await chart.locator('canvas').first().waitFor();
    await page.waitForFunction(() => document.querySelector('[data-testid=chart]')?.getAttribute('data-newest') !== '');
    const before_ = await chart.getAttribute('data-newest');
    await page.waitForFunction((seen) => document.querySelector('[data-testid=chart]')?.getAttribute('data-newest') !== seen, before_);
    const drawn = await page.evaluate(() => {
      const canvas = document.querySelector('canvas');
      const pixels = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
      return new Set(
        Array.from(
          { length: pixels.length / 4 },
          (_none, index) => `${pixels[index * 4]} ${pixels[index * 4 + 1]} ${pixels[index * 4 + 2]}`,
        ),
      ).size;
    });
    assert.ok(drawn > 3, `the canvas has ${drawn} colours`);
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('draws every interval', async () => {
    const { page, mistakes } = await open('/instruments/simulator:BTC-USDT');
    for (const interval of ['1s', '5m', '1h', '1d', '1w']) {
      await page.getByRole('button', { name: interval, exact: true }).click();
      await page.waitForFunction(
        () => !['', null].includes(document.querySelector('[data-testid=chart]')?.getAttribute('data-newest') ?? null),
      );
      assert.equal(await page.getByRole('button', { name: interval, exact: true }).getAttribute('aria-pressed'), 'true');
    }
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  // Each test starts with another width, so that every page is loaded and resized at both widths.
  for (const [colorScheme, widths] of [
    ['light', [1280, 390]],
    ['dark', [390, 1280]],
  ] as const)
    test(`fits ${widths.join(' and ')} pixels in Korean, ${colorScheme}, on every page`, async () => {
      for (const path of ['/', '/instruments/simulator:ETH-USDT', '/sources', '/nowhere-at-all']) {
        const { page } = await open(path === '/nowhere-at-all' ? '/sources/x' : path, {
          viewport: { width: widths[0], height: 844 },
          colorScheme,
          locale: 'ko-KR',
        });
        await page.locator('main').getByText(/./).first().waitFor();
        await page.getByRole('link', { name: '종목', includeHidden: true }).first().waitFor({ state: 'attached' });
        assert.equal(await page.evaluate(() => document.documentElement.lang), 'ko');
        assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme);
        for (const width of widths) await fits(page, width);
        await page.close();
      }
    });

  test('simulated data is marked on every page', async () => {
    for (const path of ['/', '/instruments/simulator:BTC-USDT', '/sources']) {
      const { page } = await open(path);
      await page.getByText('Simulated').first().waitFor();
      await page.close();
    }
  });

  test('instruments of a paused source are stale with the reason, and live again when it resumes', async () => {
    const { page } = await open('/sources');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    const chart = await open('/instruments/simulator:BTC-USDT');
    await chart.page.getByRole('alert').getByText('paused').waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await chart.page.getByRole('alert').waitFor({ state: 'detached' });
    await page.close();
    await chart.page.close();
  });

  test('the language and the theme can be changed and are remembered', async () => {
    const { page } = await open('/');
    await page.getByRole('button', { name: 'Switch to Korean' }).click();
    await page.getByRole('heading', { name: '종목' }).waitFor();
    const theme = await page.evaluate(() => document.documentElement.dataset.theme);
    await page.getByRole('button', { name: '테마 전환' }).click();
    await page.reload();
    await page.getByRole('heading', { name: '종목' }).waitFor();
    assert.notEqual(await page.evaluate(() => document.documentElement.dataset.theme), theme);
    await page.close();
  });

  test('the interactive documentation of the API opens', async () => {
    const { page } = await open('/docs');
    await page.getByText('List instruments with their newest prices').waitFor();
    await page.close();
  });
});
