import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccountStatus, Connections } from '@millrace/contracts';
import { until } from '@millrace/testing';
import type { Browser, Page } from 'playwright-core';
import { type Guarded, startGuarded } from '../accounts/visitor.ts';
import { openBrowser } from '../browser.ts';
import { WITHOUT_WORLD } from '../server.ts';
import { type CutProxy, openCutProxy } from './cut-proxy.ts';

const REACT = join(import.meta.dirname, '..', '..', 'clients', 'react');
const EXAMPLE = join(REACT, 'examples', 'prices');

describe('the React hooks, in a page of another server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-react-'));
  let guarded: Guarded;
  let pages: Server;
  let proxy: CutProxy;
  let browser: Browser;
  let page: Page;
  before(async () => {
    guarded = await startGuarded(folder, WITHOUT_WORLD);
    proxy = await openCutProxy(guarded.server.url);
    const { build } = await import('vite');
    await build({
      root: EXAMPLE,
      logLevel: 'silent',
      configFile: false,
      oxc: { jsx: { runtime: 'automatic' } },
      build: { outDir: join(folder, 'page'), emptyOutDir: true },
    });
    const types = { html: 'text/html', js: 'text/javascript' };
    pages = createServer((request, response) => {
      const [path = ''] = (request.url ?? '').split('?');
      const file = path === '/' ? 'index.html' : path.slice(1);
      response.setHeader('content-type', types[file.split('.').at(-1) as keyof typeof types] ?? 'text/plain');
      const found = join(folder, 'page', file);
      response.end(existsSync(found) ? readFileSync(found) : '');
    }).listen(0, '127.0.0.1');
    await once(pages, 'listening');
    browser = await openBrowser();
    page = await browser.newPage();
    const member = await guarded.member('viewer');
    // The first snapshot of a new user is generated automatically, before the page counts snapshots.
    await until(async () => (await member.get<AccountStatus>('GET', '/account/snapshot')).snapshot !== null, 'the first snapshot is made');
    const { key } = await member.key('page', ['market:read', 'account:read', 'account:write']);
    await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/?server=${encodeURIComponent(proxy.url)}&key=${key}`);
  });
  after(async () => {
    await browser.close();
    pages.close();
    proxy.close();
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const shows = (id: string, holds: (text: string) => boolean) =>
    page.waitForFunction(
      ([name, test]) =>
        new Function('text', `return (${test})(text)`)(document.querySelector(`[data-testid="${name}"]`)?.textContent ?? ''),
      [id, holds.toString()] as const,
    );
  const textOf = (id: string) => page.getByTestId(id).textContent();

  test('useCandles returns the history and the open candle, and updates both', async () => {
    await shows('status', (text) => text === 'live');
    await shows('candles', (text) => Number(text) > 2);
    await shows('quote', (text) => text.includes('/'));
    const close = await textOf('close');
    await page.waitForFunction((before) => document.querySelector('[data-testid="close"]')?.textContent !== before, close);
  });

  test('useEvents delivers each event once, also across a lost connection', async () => {
    await shows('live', (text) => text === 'live');
    await page.getByRole('button', { name: 'Make it anew' }).click();
    await shows('made', (text) => text === '1');
    proxy.cut();
    await shows('live', (text) => text === 'waiting');
    await shows('live', (text) => text === 'live');
    await page.getByRole('button', { name: 'Make it anew' }).click();
    await shows('made', (text) => text === '2');
    assert.equal(await textOf('made'), '2');
  });

  test('unmounted components unsubscribe', async () => {
    const open = async () => (await guarded.owner.get<Connections>('GET', '/connections')).nodes[0]?.streams;
    assert.equal(await open(), 1);
    await page.getByRole('button', { name: 'Hide' }).click();
    while ((await open()) !== 0) await page.evaluate(() => new Promise(requestAnimationFrame));
    await page.getByRole('button', { name: 'Show' }).click();
    await shows('status', (text) => text === 'live');
    await shows('candles', (text) => Number(text) > 2);
  });

  test('the README contains the example file', () => {
    assert.ok(readFileSync(join(REACT, 'README.md'), 'utf8').includes(readFileSync(join(EXAMPLE, 'prices.tsx'), 'utf8')));
  });
});
