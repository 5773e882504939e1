/// <reference lib="dom" />
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page, WebSocketRoute } from 'playwright-core';
import { openBrowser } from '../browser.ts';
import { type ServerProcess, startServer } from '../server.ts';

/*
 * The console when the server, or a proxy in front of it, refuses a request or sends something unexpected.
 */

const BUSY = { status: 429, json: { code: 'RATE_LIMITED', detail: 'Too many requests.', remedy: 'Wait a second.', status: 429 } };

describe('the console and refused requests', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-refusals-'));
  let server: ServerProcess;
  let browser: Browser;

  before(async () => {
    const sources = [{ id: 'simulator', type: 'simulator', instruments: ['BTC-USDT', 'ETH-USDT'], tradesPerSecond: 5, historyMinutes: 5 }];
    const worlds = { columns: 2, rows: 1, hosts: 1, monsters: 0, items: 4 };
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources, worlds }));
    server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder });
    browser = await openBrowser();
  });
  after(async () => {
    await browser.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A page; `prepare` runs before it loads. */
  async function open(path: string, prepare: (page: Page) => Promise<unknown> = async () => {}, locale = 'en-GB'): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 844 }, locale });
    await prepare(page);
    await page.goto(server.url + path);
    return page;
  }

  test('a console that was refused its start says so, and starts when the server accepts it', async () => {
    const page = await open('/', (loading) => loading.route('**/auth/options', (route) => route.fulfill(BUSY)));
    await page.getByText('Too many requests. Wait a second.').waitFor();
    await page.unroute('**/auth/options');
    await page.getByRole('link', { name: 'BTC/USDT' }).waitFor();
    await page.close();
  });

  for (const [locale, words] of [
    ['en-GB', 'The server sent an unexpected response (status 403).'],
    ['ko-KR', '서버가 예상하지 못한 응답을 보냈습니다(상태 403).'],
  ] as const)
    test(`an error of a proxy is shown by its status, whatever its content is, in ${locale}`, async () => {
      for (const body of ['{"message":"blocked"}', 'null', '<html>blocked</html>']) {
        const page = await open(
          '/worlds/players',
          (loading) =>
            loading.route('**/world/players?*', (route) => route.fulfill({ status: 403, contentType: 'application/json', body })),
          locale,
        );
        await page.getByText(words, { exact: true }).waitFor();
        await page.close();
      }
    });

  test('an address with a percent sign shows that nothing is there', async () => {
    const page = await open('/instruments/100%25');
    await page.getByText('No results: 100%').waitFor();
    await page.close();
  });

  test('an error of one page leaves the rest of the console: another page can be opened', async () => {
    const nonsense = { data: [null], hasMore: false, nextCursor: null };
    const page = await open('/worlds/players', (loading) =>
      loading.route('**/world/players?*', (route) => route.fulfill({ json: nonsense })),
    );
    await page.getByText('This page cannot be shown: an error of the console').waitFor();
    await page.getByRole('link', { name: 'Millrace' }).click();
    await page.getByRole('link', { name: 'ETH/USDT' }).waitFor();
    await page.close();
  });

  test('a refused refresh keeps the list, the selection and the typed reason', async () => {
    const page = await open('/worlds/snapshots?zone=0-0');
    await page.getByRole('button', { name: 'Create cold snapshot' }).click();
    await page.getByRole('button', { name: 'Inspect' }).first().click();
    await page.getByLabel('Reason').fill('half a sentence');
    await page.route('**/world/zones/0-0/snapshots?*', (route) => route.fulfill(BUSY));
    await page.getByText('Too many requests. Wait a second.').waitFor();
    assert.equal(await page.getByLabel('Reason').inputValue(), 'half a sentence');
    await page.close();
  });

  for (const [path, request, shown] of [
    ['/worlds/players', '**/world/players?*', 'Eva'],
    ['/events', '**/dead-letters?*', 'No dead letters'],
    ['/events', '**/connections', 'demo'],
  ] as const)
    test(`a refused refresh of ${request} keeps what ${path} shows`, async () => {
      const players = [{ id: 'p1', name: 'Eva', zone: '0-0', awake: true, violations: 0 }];
      const page = await open(path, (loading) =>
        loading.route('**/world/players?*', (route) => route.fulfill({ json: { data: players, nextCursor: null } })),
      );
      const content = page.locator('main').getByText(shown, { exact: true }).first();
      await content.waitFor();
      await page.route(request, (route) => route.fulfill(BUSY));
      await page.getByText('Too many requests. Wait a second.').waitFor();
      assert.ok(await content.isVisible());
      await page.close();
    });

  test('instruments can be searched by what the page calls them', async () => {
    const page = await open('/');
    await page.getByRole('link', { name: 'BTC/USDT' }).waitFor();
    await page.getByLabel('Search instruments').fill('eth/usdt');
    await page.getByRole('link', { name: 'BTC/USDT' }).waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'ETH/USDT' }).waitFor();
    await page.close();
  });

  test('a page of an instrument does not claim that it is missing while the list arrives', async () => {
    const held: (string | Buffer)[] = [];
    let release: () => void = () => {};
    const page = await open('/instruments/simulator:ETH-USDT', (loading) =>
      loading.routeWebSocket('**/api/v1/socket', (socket: WebSocketRoute) => {
        const upstream = socket.connectToServer();
        // The list has two instruments: only the first one arrives.
        let isHolding = true;
        upstream.onMessage((message) => {
          if (isHolding && held.length + String(message).split('"ticker"').length > 2) held.push(message);
          else if (isHolding && String(message).includes('"ticker"')) {
            socket.send(message);
            held.push('');
          } else socket.send(message);
        });
        release = () => {
          isHolding = false;
          for (const message of held) if (message !== '') socket.send(message);
        };
      }),
    );
    await page.waitForFunction(() => document.querySelector('main')?.textContent !== '');
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    assert.doesNotMatch((await page.locator('main').textContent()) ?? '', /No results/);
    release();
    await page.getByRole('heading', { name: 'ETH/USDT' }).waitFor();
    await page.close();
  });

  test('a new message in the chat moves the list of messages, not the page', async () => {
    const page = await open('/worlds/play');
    await page.setViewportSize({ width: 390, height: 600 });
    await page.getByLabel('Player name').fill('Reader');
    await page.getByRole('button', { name: 'Enter' }).click();
    await page.locator('[data-state=joined]').waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    for (let message = 1; message <= 12; message++) {
      const { ok } = await fetch(`${server.url}/api/v1/world/announcements`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ text: `message ${message}`, operator: 'test' }),
      });
      assert.ok(ok);
    }
    const last = page.getByRole('listitem').filter({ hasText: 'message 12' });
    await last.waitFor();
    assert.equal(await page.evaluate(() => scrollY), 0);
    const [list, line] = [await page.locator('ol').boundingBox(), await last.boundingBox()];
    assert.ok(list && line && line.y + line.height <= list.y + list.height + 1, 'the newest message is in sight in the list');
    await page.close();
  });

  test('a refused message of the chat can be sent again', async () => {
    const page = await open('/worlds/play');
    await page.getByLabel('Player name').fill('Talker');
    await page.getByRole('button', { name: 'Enter' }).click();
    await page.locator('[data-state=joined]').waitFor();
    await page.getByLabel('Message').fill('to be heard');
    // The second message comes too soon.
    await page.locator('form').evaluate(async (form: HTMLFormElement) => {
      const [input] = form.getElementsByTagName('input');
      form.requestSubmit();
      while (input && input.value !== '') await new Promise((resolve) => setTimeout(resolve));
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(input, 'to be heard');
      input?.dispatchEvent(new Event('input', { bubbles: true }));
      form.requestSubmit();
    });
    await page
      .getByRole('status')
      .filter({ hasText: /^COOLDOWN: .*Speak again/ })
      .waitFor();
    await page.waitForFunction(() => document.querySelector<HTMLInputElement>('form input')?.value === 'to be heard');
    await page.close();
  });
});
