/// <reference lib="dom" />
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type { PlayerToken, World } from '@millrace/contracts';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { type Guarded, startGuarded } from '../accounts/visitor.ts';
import { openBrowser } from '../browser.ts';

/*
 * Every page at several widths, in both themes and languages: nothing is clipped, and every page has its own title. The checks of a page share the
 * widths, and the two checks with a stopped server share the pages; with `LAYOUT=all` each has all of them.
 */

const WIDTHS = [1440, 1280, 1024, 768, 390] as const;
const NARROWEST = WIDTHS[4];
const widths = (...some: (typeof WIDTHS)[number][]) => (process.env.LAYOUT === 'all' ? WIDTHS : some);
const HEIGHT = 844;
const FITS_WITHIN_MS = 8_000;
const SOURCES = [{ id: 'simulator', type: 'simulator', instruments: ['BTC-USDT', 'BTC-KRW'], tradesPerSecond: 2, historyMinutes: 1 }];
const WORLDS = { columns: 2, rows: 1, hosts: 2, monsters: 0, items: 4 };

/** Pages of a signed-in user, each with a selector of its content. */
const PAGES = [
  ['/', 'table'],
  ['/instruments/simulator:BTC-USDT', '[data-testid=chart] canvas'],
  ['/sources', 'main section'],
  ['/events', '[data-table]'],
  ['/worlds', '[data-table]'],
  ['/worlds/zones/0-0', 'canvas'],
  ['/worlds/zones/9-9', 'main a[href="/worlds"]'],
  ['/worlds/players', '[data-table]'],
  ['/worlds/players/{player}', 'canvas'],
  ['/worlds/snapshots', '[data-table]'],
  ['/worlds/play', 'main form'],
  ['/account', '[data-table] code'],
  ['/tenants', '[data-table] select'],
  ['/no/such/page', 'main a[href="/"]'],
] as const;
/** Pages of visitors who are not signed in. */
const SIGNED_OUT_PAGES = ['/sign-in', '/sign-up', '/forgot-password', '/reset-password?token=x', '/verify-email?token=x'] as const;

/** Clipped elements of the current page. */
function cutOff(): string[] {
  const found: string[] = [];
  const nameOf = (element: Element) => `${element.tagName.toLowerCase()} "${(element.textContent ?? '').trim().slice(0, 40)}"`;
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  // The nearest element around each one that limits its width, looked up once per element.
  const limits = new Map<Element, Element | undefined>();
  for (const element of document.querySelectorAll('header *, main *')) {
    const box = element.getBoundingClientRect();
    if (box.width <= 1 || box.height <= 1 || element.closest('[data-testid=chart], [data-table=cards] thead') || !element.checkVisibility())
      continue;
    // A table may scroll in its own box, if it is keyboard accessible. Text may end with an ellipsis and a tooltip.
    const bounds = limitOf(element.parentElement);
    const mayGoOn = bounds && (bounds.matches('[data-table][tabindex], [role=toolbar], pre') || isDotted(bounds));
    if (mayGoOn || isDotted(element)) continue;
    const within = bounds?.getBoundingClientRect() ?? { left: 0, right: innerWidth };
    if (box.right > within.right + 1 || box.left < within.left - 1)
      found.push(`${nameOf(element)} ends at ${box.right} of ${within.right}`);
    else if (box.right > innerWidth + 1) found.push(`${nameOf(element)} ends at ${box.right} of the window’s ${innerWidth}`);
  }
  for (const table of document.querySelectorAll('main table'))
    if (!table.closest('[data-table]') && table.scrollWidth > (table.parentElement?.clientWidth ?? 0)) found.push(nameOf(table));
  return found;

  function isDotted(one: Element): boolean {
    return getComputedStyle(one).textOverflow === 'ellipsis';
  }
  function limitOf(one: Element | null): Element | undefined {
    if (one === null) return undefined;
    if (!limits.has(one)) limits.set(one, getComputedStyle(one).overflowX === 'visible' ? limitOf(one.parentElement) : one);
    return limits.get(one);
  }
}

describe('fault 40: every page of the console', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-layout-'));
  let guarded: Guarded;
  let browser: Browser;
  let walker: WorldClient;
  let player = '';

  before(async () => {
    guarded = await startGuarded(folder, { MILLRACE_SOURCES: JSON.stringify(SOURCES), MILLRACE_WORLDS: JSON.stringify(WORLDS) });
    const { owner } = guarded;
    await owner.get('POST', '/account/keys', {
      name: 'nightly settlement of the books',
      scopes: ['market:read', 'platform:read', 'world:play'],
    });
    await owner.get('POST', '/tenants/main/invitations', { role: 'operator', email: 'somebody.with.a.long.name@trading.example.com' });
    await guarded.member('operator');
    const { tcpPort } = await owner.get<World>('GET', '/world');
    const made = await owner.get<PlayerToken>('POST', '/world/players', { name: 'Walker' });
    player = made.player;
    walker = new WorldClient({ connect: tcp({ host: '127.0.0.1', port: tcpPort }), token: made.token });
    assert.deepEqual(await walker.join(), { ok: true });
    browser = await openBrowser();
  });
  after(async () => {
    walker.close();
    await browser.close();
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function contextOf(options: Parameters<Browser['newContext']>[0], isIn = true): Promise<BrowserContext> {
    const context = await browser.newContext({ viewport: { width: WIDTHS[0], height: HEIGHT }, ...options });
    const { jar } = guarded.owner;
    if (isIn)
      await context.addCookies([...jar].map(([name, value]) => ({ name, value: decodeURIComponent(value), url: guarded.server.url })));
    return context;
  }

  async function open(context: BrowserContext, path: string, shown: string, page?: Page): Promise<Page> {
    page ??= await context.newPage();
    await page.goto(guarded.server.url + path.replace('{player}', player));
    await page.locator(shown).first().waitFor();
    return page;
  }

  async function cutsNothingOff(page: Page, checked: readonly number[]): Promise<void> {
    for (const width of checked) {
      await page.setViewportSize({ width, height: HEIGHT });
      const found = () => page.evaluate<string[] | null>(`innerWidth === ${width} ? (${cutOff.toString()})() : null`);
      if ((await found())?.length === 0) continue;
      const isWhole = `innerWidth === ${width} && (${cutOff.toString()})().length === 0`;
      await page.waitForFunction(isWhole, undefined, { timeout: FITS_WITHIN_MS }).catch(() => {});
      assert.deepEqual(await found(), [], `${page.url()} at ${width} px`);
    }
  }

  for (const [colorScheme, locale, checked] of [
    ['light', 'en-GB', widths(1440, 1024, 390)],
    ['dark', 'ko-KR', widths(1280, 768, 390)],
  ] as const)
    test(`nothing is clipped between ${NARROWEST} and ${WIDTHS[0]} px, and each page has its own title: ${colorScheme}, ${locale}`, async () => {
      const titles: string[] = [];
      const visit = async (pages: readonly (readonly [path: string, shown: string])[], isIn: boolean) => {
        const context = await contextOf({ colorScheme, locale }, isIn);
        // One page for all: a page of its own is a process of its own.
        const page = await context.newPage();
        for (const [path, shown] of pages) {
          await open(context, path, shown, page);
          await cutsNothingOff(page, checked);
          titles.push(await page.title());
        }
        await context.close();
      };
      await visit(PAGES, true);
      await visit(
        SIGNED_OUT_PAGES.map((path) => [path, 'h1']),
        false,
      );
      assert.equal(new Set(titles).size, PAGES.length + SIGNED_OUT_PAGES.length, titles.join('\n'));
      for (const title of titles) assert.match(title, / · Millrace$/);
    });

  for (const [share, colorScheme, locale, claims, checked] of [
    [0, 'dark', 'en-GB', ['Live', 'Up', 'Running'], widths(1440, 390)],
    [1, 'light', 'ko-KR', ['실시간', '실행 중'], widths(768, 390)],
  ] as const)
    test(`nothing is clipped, shown as live or enabled while the server is stopped, and all recovers with it: ${colorScheme}, ${locale}`, async () => {
      const context = await contextOf({ colorScheme, locale });
      const pages: Page[] = [];
      const shared = process.env.LAYOUT === 'all' ? PAGES : PAGES.filter((_, index) => index % 2 === share);
      for (const [path, shown] of shared) pages.push(await open(context, path, shown));
      await guarded.server.kill();
      for (const page of pages) {
        const banner = page.locator('[data-connection-lost]');
        await banner.waitFor();
        await cutsNothingOff(page, checked);
        const box = await banner.boundingBox();
        assert.ok(box && box.x >= 0 && box.x + box.width <= NARROWEST, `${page.url()}: the banner is at ${JSON.stringify(box)}`);
        for (const claim of claims) {
          const claimed = page.locator('main').getByText(claim, { exact: true }).filter({ visible: true });
          assert.equal(await claimed.count(), 0, `${page.url()} claims ${claim}`);
        }
        const enabled = page.locator('main button:enabled:not(th button, [aria-expanded], [aria-pressed])').filter({ visible: true });
        assert.deepEqual(await enabled.allTextContents(), [], `${page.url()} allows what the server has to do`);
      }
      await guarded.startAgain();
      for (const page of pages) {
        await page.locator('[data-connection-lost]').waitFor({ state: 'detached' });
        await cutsNothingOff(page, widths(NARROWEST));
      }
      await context.close();
    });

  test('all pages are in the menu of a narrow window', async () => {
    const context = await contextOf({ locale: 'en-GB', viewport: { width: 390, height: HEIGHT } });
    const page = await open(context, '/', 'table');
    const links = page.locator('nav#pages').getByRole('link');
    for (const name of ['Sources', 'World', 'Events', 'Users', 'API', 'Instruments']) {
      assert.equal(await links.filter({ visible: true }).count(), 0);
      await page.getByRole('button', { name: 'Menu' }).click();
      const box = await links
        .getByText(name, { exact: true })
        .or(links.filter({ hasText: new RegExp(`^${name}$`) }))
        .first()
        .boundingBox();
      assert.ok(box && box.x >= 0 && box.x + box.width <= 390 && box.y + box.height <= HEIGHT, `${name}: ${JSON.stringify(box)}`);
      if (name === 'API') await page.getByRole('button', { name: 'Menu' }).press('Escape');
      else await links.filter({ hasText: new RegExp(`^${name}$`) }).click();
    }
    await context.close();
  });

  test('an unknown page links to the start page; programs get a problem document', async () => {
    const context = await contextOf({ locale: 'ko-KR' });
    const page = await context.newPage();
    const answer = await page.goto(`${guarded.server.url}/no/such/page`);
    assert.equal(answer?.status(), 404);
    await page.getByText('페이지를 찾을 수 없습니다').waitFor();
    await page.locator('main').getByRole('link', { name: '종목' }).click();
    await page.getByRole('heading', { name: '종목' }).waitFor();
    await context.close();
    const program = await fetch(`${guarded.server.url}/no/such/page`);
    assert.deepEqual([program.status, program.headers.get('content-type')?.split(';')[0]], [404, 'application/problem+json']);
    const file = await fetch(`${guarded.server.url}/api/v1/nothing`, { headers: { accept: 'text/html' } });
    assert.equal(file.headers.get('content-type')?.split(';')[0], 'application/problem+json');
  });

  test('actions that affect others need a confirmation and can be cancelled', async () => {
    const context = await contextOf({ locale: 'en-GB' });
    const page = await open(context, '/tenants', '[data-table] select');
    const role = page.getByRole('combobox', { name: 'Role: operator 1' });
    await role.selectOption('viewer');
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Changes the role of operator 1 from Operator to Viewer.').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await dialog.waitFor({ state: 'hidden' });
    assert.equal(await role.inputValue(), 'operator');
    await role.selectOption('viewer');
    // The next question comes before the browser reports that the dialog was closed.
    await page.evaluate(async () => {
      const select = document.querySelector<HTMLSelectElement>('select[aria-label="Role: operator 1"]');
      document.querySelector<HTMLButtonElement>('dialog[open] button')?.click();
      if (select) select.value = 'viewer';
      select?.dispatchEvent(new Event('change', { bubbles: true }));
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    assert.equal(await dialog.getByText('Changes the role of operator 1 from Operator to Viewer.').isVisible(), true);
    await dialog.getByRole('button', { name: 'Change role' }).click();
    await page.waitForFunction(
      () => document.querySelector<HTMLSelectElement>('select[aria-label="Role: operator 1"]')?.value === 'viewer',
    );
    await page.getByRole('button', { name: 'Revoke' }).click();
    await dialog.getByText('somebody.with.a.long.name@trading.example.com').waitFor();
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('No pending invitations').waitFor();
    await context.close();
  });

  test('links can be copied', async () => {
    const context = await contextOf({ locale: 'en-GB', permissions: ['clipboard-read', 'clipboard-write'] });
    const page = await open(context, '/tenants', '[data-table] select');
    await page.getByRole('button', { name: 'Invite', exact: true }).click();
    const link = (await page.locator('[data-link]').textContent())?.trim();
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByText('Copied').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link);
    await context.close();
  });

  test('errors of the server are shown in Korean', async () => {
    const context = await contextOf({ locale: 'ko-KR' }, false);
    const page = await open(context, '/sign-in', 'h1');
    await page.locator('input[name=email]').fill('owner@example.com');
    await page.locator('input[name=password]').fill('not the password of it');
    await page.getByRole('button', { name: '로그인', exact: true }).click();
    await page.getByText('이메일 또는 비밀번호가 맞지 않습니다.').waitFor();
    await context.close();
  });
});

test('fault 40: input fields have a contrast of 3:1 to their surroundings, in both themes', () => {
  const style = readFileSync(join(import.meta.dirname, '..', '..', 'apps', 'web', 'src', 'style.css'), 'utf8');
  for (const theme of [':root', '[data-theme="dark"]']) {
    const [, block = ''] = style.split(`\n${theme} {`)[1]?.match(/^([^}]*)/) ?? [];
    const colour = (name: string) => luminanceOf(new RegExp(`--${name}: #(\\w{6});`).exec(block)?.[1] ?? assert.fail(`${theme}: ${name}`));
    for (const around of ['ground', 'surface']) {
      const [dark = 0, bright = 0] = [colour('edge'), colour(around)].sort((one, other) => one - other);
      const contrast = (bright + 0.05) / (dark + 0.05);
      assert.ok(contrast >= 3, `${theme}: edge against ${around} is ${contrast.toFixed(2)}`);
    }
  }
});

/** Relative luminance of an sRGB colour (WCAG 2.2). */
function luminanceOf(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [0, 2, 4]
    .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
