/// <reference lib="dom" />

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import { type PlayerToken, type World, ZONE_SIZE, type ZonePointInTime } from '@millrace/contracts';
import { until } from '@millrace/testing';
import type { Browser, Page } from 'playwright-core';
import { fits, openBrowser } from '../browser.ts';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

/*
 * The operator pages of the world in a real browser, with a walking player.
 */

/** Duration of the live recording that the slider is compared with, ms. */
const RECORDED_MS = 8_000;
const STEP_MS = 300;

describe('the world’s pages in a browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-world-pages-'));
  let server: ServerProcess;
  let browser: Browser;
  let walker: { id: string; client: WorldClient };
  const clients: WorldClient[] = [];
  let walking: NodeJS.Timeout;
  /** The live hash of zone 0-0 after each event. */
  const recorded = new Map<number, string>();

  before(async () => {
    // Only the player moves in this world, so that each state lasts long enough to be observed.
    writeFileSync(
      join(folder, 'millrace.config.json'),
      JSON.stringify({ sources: [], worlds: { columns: 2, rows: 1, hosts: 1, monsters: 0, items: 40 } }),
    );
    server = await startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder });
    browser = await openBrowser();
    walker = await enter('Walker');
    // A server is ready before its tables; early requests would be errors in the log of the browser.
    await answered(`/world/players/${walker.id}/history`);
    walking = setInterval(() => void step(walker.client), STEP_MS);
    await record();
  });
  after(async () => {
    clearInterval(walking);
    for (const client of clients) client.close();
    await browser.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function api<T>(path: string, body?: object): Promise<T> {
    const response = await fetch(`${server.url}/api/v1${path}`, {
      ...(body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, `${path}: ${response.status}`);
    return (await contentOf(response)) as T;
  }

  async function answered(path: string): Promise<void> {
    await until(async () => (await fetch(`${server.url}/api/v1${path}`)).ok, `${path} answers`);
  }

  async function enter(name: string, onNotice: (notice: { text?: string }) => void = () => {}): Promise<typeof walker> {
    const { tcpPort } = await api<World>('/world');
    const { player, token } = await api<PlayerToken>('/world/players', { name });
    const client = new WorldClient({ connect: tcp({ host: '127.0.0.1', port: tcpPort }), token, onNotice });
    clients.push(client);
    assert.deepEqual(await client.join(), { ok: true });
    return { id: player, client };
  }

  /** Walks on within the zone, and turns where it is blocked, because the start position of a new player is random. */
  const headings = [
    { x: 100, y: 0 },
    { x: -100, y: 0 },
    { x: 0, y: 100 },
    { x: 0, y: -100 },
  ];
  async function step(client: WorldClient): Promise<void> {
    const { you } = client;
    const [{ x, y } = { x: 0, y: 0 }] = headings;
    if (!you) return;
    const next = { x: you.x + x, y: you.y + y };
    // The player stays in its zone, which some pages show.
    const zone = `${Math.floor(next.x / ZONE_SIZE)}-${Math.floor(next.y / ZONE_SIZE)}`;
    if (zone === client.zone?.zone && client.mayMove(next.x, next.y) && (await client.move(next.x, next.y)).ok) return;
    headings.push(...headings.splice(0, 1));
  }

  async function record(): Promise<void> {
    const until = Date.now() + RECORDED_MS;
    while (Date.now() < until) {
      const { seq, hash } = await api<ZonePointInTime>('/world/zones/0-0');
      recorded.set(seq, hash);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async function open(path: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<{ page: Page; mistakes: string[] }> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
    const mistakes: string[] = [];
    page.on('pageerror', (error) => mistakes.push(error.message));
    page.on('console', (message) => message.type() === 'error' && mistakes.push(message.text()));
    await page.goto(server.url + path);
    return { page, mistakes };
  }

  /** Fills in the operator and the reason, and submits. */
  async function sign(page: Page, action: string, scope = page.locator('form')): Promise<void> {
    const form = scope.filter({ has: page.getByRole('button', { name: action, exact: true }) });
    await form.getByLabel('Operator name').fill('kim');
    await form.getByLabel('Reason').fill('a test');
    await form.getByRole('button', { name: action, exact: true }).click();
  }

  test('Zones shows each zone with its tick health, players and host', async () => {
    const { page, mistakes } = await open('/worlds');
    const cell = page.locator('[data-health]').filter({ hasText: '1' }).first();
    await cell.waitFor();
    assert.equal(await page.locator('[data-health]').count(), 2);
    assert.notEqual(await cell.getAttribute('data-health'), 'offline');
    await page.getByRole('cell', { name: 'zones-1' }).first().waitFor();
    await page.getByLabel('Operator name').fill('kim');
    await page.getByLabel('Announcement').fill('the mill is running');
    let hear: (words: string | undefined) => void = () => {};
    const heard = new Promise<string | undefined>((resolve) => {
      hear = resolve;
    });
    await enter('Listener', ({ text }) => hear(text));
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('Zones notified: 2').waitFor();
    assert.equal(await heard, 'the mill is running');
    await cell.click();
    await page.getByRole('img', { name: /Map of zone/ }).waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('the live map updates', async () => {
    const { page, mistakes } = await open(`/worlds/zones/${walker.client.zone?.zone}`);
    await page.getByText(/^Live \d/).waitFor();
    const picture = () => page.evaluate(() => document.querySelector('canvas')?.toDataURL() ?? '');
    const seen = await picture();
    await page.waitForFunction((before_) => document.querySelector('canvas')?.toDataURL() !== before_, seen);
    await page.getByRole('link', { name: 'Walker' }).waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('the time slider shows recorded states exactly: each has the hash it had live', async () => {
    const { page, mistakes } = await open('/worlds/zones/0-0');
    const slider = page.getByLabel('Point in time');
    const moment = page.locator('[data-hash]');
    let steps = 0;
    // Four states per second, and none from before the world existed.
    await until(async () => {
      await page.getByRole('button', { name: '1 min' }).click();
      await moment.waitFor();
      steps = Number(await slider.getAttribute('max'));
      return steps >= 120;
    }, 'half a minute is on record');
    let compared = 0;
    const seen = new Set<string>();
    for (let index = 0; index <= steps; index++) {
      await slider.fill(String(index));
      const seq = Number(await moment.getAttribute('data-seq'));
      const hash = (await moment.getAttribute('data-hash')) ?? '';
      const live = recorded.get(seq);
      if (live === undefined) continue;
      assert.equal(hash, live, `the state after event ${seq}`);
      compared++;
      seen.add(hash);
    }
    assert.ok(compared >= 20 && seen.size >= 3, `${compared} moments were compared, ${seen.size} different states`);
    // Fault 43: the dry run shows the changes of a restore.
    await page.getByRole('button', { name: 'Preview changes' }).click();
    await page.locator('[data-restore-plan]').getByText('Items restored').waitFor();
    await page.getByRole('button', { name: 'Play', exact: true }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    await page.getByRole('button', { name: 'Back to live' }).click();
    await page.getByText(/^Live \d/).waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('the live map, ages and the newest minute do not depend on the clock of the browser', async () => {
    const page = await browser.newPage({ locale: 'en-GB' });
    await page.addInitScript(() => {
      const now = Date.now;
      Date.now = () => now() + 3_600_000;
    });
    await page.goto(`${server.url}/worlds/zones/0-0`);
    await page.getByText(/^Live \d/).waitFor();
    await page
      .locator('dt:text("Hot snapshot age") + dd')
      .filter({ hasText: /^\d+ s/ })
      .waitFor();
    await page.getByRole('button', { name: '1 min' }).click();
    await page.locator('[data-hash]').waitFor();
    await page.close();
  });

  test('a player is shown live; an edit is audited and in its history', async () => {
    const { page, mistakes } = await open('/worlds/players');
    await page.getByLabel('Search players').fill('walker');
    await page.getByRole('link', { name: 'Walker' }).click();
    await page.getByRole('button', { name: 'Edit motion' }).click();
    await page.getByLabel('motion.speed').fill('fast');
    await sign(page, 'Save');
    await page.getByText('speed: fast is not valid JSON').waitFor();
    await page.getByLabel('motion.speed').fill('-1');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('INVALID_FIELD').waitFor();
    await page.getByLabel('motion.speed').fill('640');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('640', { exact: true }).waitFor();
    assert.equal(walker.client.you?.speed, 640);
    await page.getByText('PlayerEdited').first().waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('a snapshot is taken, read back, compared with the record, and restored', async () => {
    const { page, mistakes } = await open('/worlds/snapshots?zone=0-0');
    await page.getByRole('button', { name: 'Create cold snapshot' }).click();
    const row = page.getByRole('row').filter({ hasText: 'Cold' }).first();
    await row.getByRole('button', { name: 'Inspect' }).click();
    await page.getByText('Integrity OK').waitFor();
    await page.getByRole('button', { name: 'Verify against log' }).click();
    await page.getByText('Matches the log').waitFor();
    await sign(page, 'Restore');
    await page.getByText('Done', { exact: true }).waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('Events shows event rates, and a paused consumer group lags and catches up', async () => {
    const { page, mistakes } = await open('/events');
    await page.getByRole('cell', { name: 'PlayerMoved' }).waitFor();
    const reader = page.getByRole('row').filter({ hasText: 'world-history' });
    await reader.getByText('Running').waitFor();
    await reader.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
    await reader.getByText('Paused').waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll('[data-lag]')].some((lag) => Number(lag.getAttribute('data-lag')) >= 5));
    await reader.getByRole('button', { name: 'Resume' }).click();
    await page.waitForFunction(() => [...document.querySelectorAll('[data-lag]')].every((lag) => Number(lag.getAttribute('data-lag')) < 5));
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('Events counts the dead letters that wait, of earlier runs too; Players says when there are more than it shows', async () => {
    const { page, mistakes } = await open('/events');
    const reader = page.getByRole('row').filter({ hasText: 'world-history' }).filter({ hasText: 'Running' });
    await reader.getByText('0', { exact: true }).last().waitFor();
    const deadLetter = (id: number) => ({
      id,
      group: 'world-history',
      partition: 0,
      offset: id,
      zone: 'world/0-0',
      seq: id,
      reason: 'a test',
    });
    const data = [1, 2].map((id) => ({ ...deadLetter(id), createdAt: '2026-01-01T00:00:00.000Z' }));
    await page.route('**/api/v1/dead-letters?*', (route) => route.fulfill({ json: { data, nextCursor: null } }));
    await reader.getByRole('cell').nth(4).getByText('2', { exact: true }).waitFor();
    const player = { id: 'p1', name: 'Ann', zone: '0-0', awake: true, violations: 0 };
    await page.route('**/api/v1/world/players?*', (route) => route.fulfill({ json: { data: [player], nextCursor: 'more' } }));
    await page.goto(`${server.url}/worlds/players`);
    await page.getByText('1+', { exact: true }).waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  test('Play works: keys move, the server corrects a cheat, and chat arrives', async () => {
    const { page, mistakes } = await open('/worlds/play');
    await page.getByLabel('Player name').fill('Keyboard');
    await page.getByRole('button', { name: 'Enter' }).click();
    await page.locator('[data-state=joined]').waitFor();
    const status = page.locator('[data-refusals]');
    const place = async () => `${await status.getAttribute('data-x')} ${await status.getAttribute('data-y')}`;
    const before_ = await place();
    for (const key of ['KeyD', 'KeyS', 'KeyA', 'KeyW']) {
      await page.keyboard.down(key);
      await page
        .waitForFunction(
          ([seen, refused]) => {
            // If an obstacle blocks the way, the player is corrected instead.
            const at = document.querySelector('[data-refusals]');
            return `${at?.getAttribute('data-x')} ${at?.getAttribute('data-y')}` !== seen || at?.getAttribute('data-refusals') !== refused;
          },
          [await place(), await status.getAttribute('data-refusals')] as const,
        )
        .finally(() => page.keyboard.up(key));
    }
    assert.ok(before_.length > 3);
    const refusals = Number(await status.getAttribute('data-refusals'));
    await page.getByRole('button', { name: /Cheat/ }).click();
    await page.getByText(/^(TOO_FAST|TELEPORT|OUT_OF_BOUNDS):/).waitFor();
    assert.equal(Number(await status.getAttribute('data-refusals')), refusals + 1);
    await page.getByLabel('Message').fill('hello from the browser');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByRole('listitem').getByText('hello from the browser').waitFor();
    assert.deepEqual(mistakes, []);
    await page.close();
  });

  // Each test starts with another width, so that every page is loaded and resized at both widths.
  for (const [colorScheme, widths] of [
    ['light', [1280, 390]],
    ['dark', [390, 1280]],
  ] as const)
    test(`fits ${widths.join(' and ')} pixels in Korean, ${colorScheme}, on every page`, async () => {
      for (const [path, title] of [
        ['/worlds', '존 호스트'],
        ['/worlds/zones/0-0', '지표'],
        ['/worlds/players', '의심 대상만'],
        [`/worlds/players/${walker.id}`, '위치'],
        ['/worlds/snapshots', '복구 훈련'],
        ['/worlds/play', '월드 입장'],
        ['/events', '소비자 그룹'],
      ] as const) {
        const { page, mistakes } = await open(path, { viewport: { width: widths[0], height: 844 }, colorScheme, locale: 'ko-KR' });
        await page.getByText(title, { exact: true }).first().waitFor();
        for (const width of widths) await fits(page, width);
        assert.deepEqual(mistakes, []);
        await page.close();
      }
    });
});
